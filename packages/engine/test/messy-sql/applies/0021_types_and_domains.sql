CREATE TYPE app.mood AS ENUM ('sad; really', 'ok', 'happy''s');
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
CREATE TYPE app.pair AS (a int, b app.mood);
ALTER TYPE app.mood ADD VALUE 'new' BEFORE 'ok';
CREATE CAST (app.pair AS text) WITH INOUT;
