DO $$
DECLARE r record;
BEGIN
  FOR r IN SELECT g FROM generate_series(1, 3) AS g LOOP
    EXECUTE format('CREATE TABLE app.part_%s (id int CHECK (id %% 3 = %s))', r.g, r.g - 1);
  END LOOP;
  -- COMMIT; ROLLBACK;
  RAISE NOTICE 'made; %', 'it''s done';
END
$$;
DO LANGUAGE plpgsql 'BEGIN PERFORM 1; END';
