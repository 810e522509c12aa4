CREATE PROCEDURE app.add_user(p_name text) LANGUAGE sql
BEGIN ATOMIC
  INSERT INTO app.users (name) VALUES (p_name);
  INSERT INTO app.users (name) VALUES (p_name || '; again');
END;
CREATE FUNCTION app.one() RETURNS int LANGUAGE sql RETURN 1;
CALL app.add_user('atomic');
