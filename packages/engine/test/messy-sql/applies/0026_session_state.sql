CREATE TEMP TABLE scratch ON COMMIT DROP AS SELECT 1 AS id;
PREPARE later (int) AS INSERT INTO app.tried VALUES ($1, 'prepared; once');
EXECUTE later(7);
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM app.users;
SET TIME ZONE 'Asia/Tokyo';
SET DateStyle = 'German';
LISTEN something;
