-- Extensions the platform wants; "IF NOT EXISTS" because some hosts have them
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE EXTENSION IF NOT EXISTS age;
/* a block comment; with a semicolon, an apostrophe ' and /* one inside; it's nested */ still comment; */
CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'The application''s own; nothing else';
