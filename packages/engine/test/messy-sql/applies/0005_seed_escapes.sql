INSERT INTO app.users (name, email) VALUES
  (E'line one\nline two; \'quoted\'', 'a@example.org'),
  ('back\slash;', 'b@example.org'),
  (E'\\\';--', 'c@example.org'),
  ($q$it's; a $dollar$ text$q$, 'd@example.org'),
  (U&'d\0061t\+000061', 'e@example.org'),
  ('two'
   'parts', 'f@example.org');
INSERT INTO app.users (name) SELECT 'BEGIN; COMMIT; -- not a comment';
