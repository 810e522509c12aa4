\i functions.sql
