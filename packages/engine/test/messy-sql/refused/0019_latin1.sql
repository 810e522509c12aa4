CREATE TABLE t (name text DEFAULT 'Größe');
