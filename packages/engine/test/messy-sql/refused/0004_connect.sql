CREATE TABLE t (id int);
\connect other_database
CREATE TABLE u (id int);
