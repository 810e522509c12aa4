-- kind: expanding
SELECT 1;
