-- transaction: own
-- as the old tool wanted it
BEGIN;

ALTER TABLE app.users ADD COLUMN age int;
UPDATE app.users SET age = 1 WHERE name LIKE '%;%';

COMMIT;

BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL work_mem = '8MB';
INSERT INTO app.users (name) VALUES ('in its own; block');
COMMIT WORK;

VACUUM (ANALYZE) app.users;
CALL app.batches();
