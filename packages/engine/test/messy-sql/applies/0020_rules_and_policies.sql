CREATE RULE no_delete AS ON DELETE TO app.orders DO INSTEAD NOTHING;
CREATE RULE log_insert AS ON INSERT TO app.windows DO ALSO (INSERT INTO app.with_bom VALUES (2); INSERT INTO app.with_bom VALUES (3));
INSERT INTO app.windows (id) VALUES (2);
ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON app.users USING (true) WITH CHECK (name <> ';');
