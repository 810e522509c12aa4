CREATE FUNCTION app.touch() RETURNS trigger AS '
BEGIN
  NEW.created_at := now(); -- it''s now
  RETURN NEW;
END;
' LANGUAGE plpgsql;
CREATE TRIGGER touch BEFORE UPDATE ON app.users FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();
ALTER TABLE app.users DISABLE TRIGGER touch;
UPDATE app.users SET name = name || ';' WHERE id = 1;
ALTER TABLE app.users ENABLE TRIGGER touch;
