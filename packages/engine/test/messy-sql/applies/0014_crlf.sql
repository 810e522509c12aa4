CREATE TABLE app.windows (
  id int, -- it's CRLF
  t text DEFAULT 'a;b'
);
INSERT INTO app.windows (id) VALUES (1);
