WITH moved AS (DELETE FROM app.windows WHERE id = 1 RETURNING *)
INSERT INTO app.last SELECT id FROM moved;
MERGE INTO app.last AS l USING (VALUES (1), (9)) AS v (id) ON l.id = v.id
  WHEN MATCHED THEN UPDATE SET id = l.id + 100
  WHEN NOT MATCHED THEN INSERT VALUES (v.id);
