-- transaction: none
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_name_idx ON app.users (lower(name)) WHERE name <> ';';
REINDEX INDEX CONCURRENTLY app.users_name_idx;
DROP INDEX CONCURRENTLY IF EXISTS app.not_there;
