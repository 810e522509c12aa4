CREATE FUNCTION app.plus(a text, b text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT a || b $$;
CREATE OPERATOR app.+|+ (LEFTARG = text, RIGHTARG = text, FUNCTION = app.plus);
SELECT 'a' OPERATOR(app.+|+) 'b', 5 - -1, 2 * - 3, 7 /* c */ - /* d */ 2;
CREATE AGGREGATE app.concat_all (text) (SFUNC = app.plus, STYPE = text, INITCOND = '');
