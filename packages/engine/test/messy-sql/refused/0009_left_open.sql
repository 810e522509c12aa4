CREATE TABLE t (name text DEFAULT 'it's);
