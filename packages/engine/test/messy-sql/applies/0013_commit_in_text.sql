CREATE PROCEDURE app.batches() LANGUAGE plpgsql AS $proc$
BEGIN
  FOR i IN 1..3 LOOP
    INSERT INTO app.users (name) VALUES ('batch ' || i);
    COMMIT;
  END LOOP;
END;
$proc$;
COMMENT ON PROCEDURE app.batches() IS '
BEGIN;
  this is a text; COMMIT;
ROLLBACK;
';
