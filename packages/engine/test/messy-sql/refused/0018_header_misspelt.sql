-- kind: expand
-- transactoin: none
SELECT 1;
