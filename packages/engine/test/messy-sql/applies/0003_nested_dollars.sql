CREATE OR REPLACE FUNCTION app.make_function() RETURNS void LANGUAGE plpgsql AS $outer$
BEGIN
  EXECUTE $inner$
    CREATE OR REPLACE FUNCTION app.inner_one() RETURNS text LANGUAGE plpgsql AS $body$
    BEGIN
      RETURN $$it's; a "text" with $ signs$$;
    END;
    $body$;
  $inner$;
END;
$outer$;
SELECT app.make_function();
SELECT app.inner_one();
