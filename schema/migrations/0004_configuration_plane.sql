-- kind: expand
-- Several users, several stored providers of which one is active, who changed what, the way back from the last change, and a version that
-- watchers follow.

ALTER TABLE kg_api.users DROP CONSTRAINT users_role_check;
UPDATE kg_api.users SET role = 'user' WHERE role = 'member';
-- lint: allow constraint-missing-not-valid because the table has a handful of rows
ALTER TABLE kg_api.users
  ADD CONSTRAINT users_role_check CHECK (role IN ('admin', 'user')),
  ADD COLUMN disabled_at     timestamptz,
  -- Tokens issued before are refused.
  ADD COLUMN password_set_at timestamptz NOT NULL DEFAULT now(),
  -- Where a secret came from, `env:NAME` or `file:PATH`, so that an export can refer to it again.
  ADD COLUMN password_source text CHECK (password_source ~ '^(env|file):.');
-- lint: allow update-without-where because the table has a handful of rows
UPDATE kg_api.users SET password_set_at = updated_at;

-- A row per provider: coming back to one finds its settings again. Until now every change left the row of the one before behind.
DELETE FROM kg_api.ai_provider_config old USING kg_api.ai_provider_config kept
 WHERE old.provider = kept.provider AND (kept.active, kept.id) > (old.active, old.id);
-- lint: allow constraint-missing-not-valid because the table has a handful of rows
-- lint: allow disallowed-unique-constraint because the table has a handful of rows
ALTER TABLE kg_api.ai_provider_config
  DROP CONSTRAINT ai_provider_config_provider_check,
  ADD CONSTRAINT ai_provider_config_provider_check CHECK (provider IN
    ('openai', 'anthropic', 'openrouter', 'ollama', 'vllm', 'llama-cpp', 'openai-compatible', 'local')),
  ADD CONSTRAINT ai_provider_config_provider_key UNIQUE (provider),
  ADD COLUMN options    jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
  ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

DELETE FROM kg_api.embedding_config old USING kg_api.embedding_config kept
 WHERE old.provider = kept.provider AND (kept.active, kept.id) > (old.active, old.id);
-- lint: allow constraint-missing-not-valid because the table has a handful of rows
-- lint: allow disallowed-unique-constraint because the table has a handful of rows
ALTER TABLE kg_api.embedding_config
  DROP CONSTRAINT embedding_config_provider_check,
  ADD CONSTRAINT embedding_config_provider_check CHECK (provider IN ('local', 'openai', 'ollama')),
  ADD CONSTRAINT embedding_config_provider_key UNIQUE (provider),
  ADD COLUMN base_url   text,
  ADD COLUMN precision  text NOT NULL DEFAULT 'float32' CHECK (precision IN ('float32', 'float16')),
  ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

-- Vectors of one length belong together: with rows here, other dimensions want an explicit word.
CREATE TABLE kg_api.embeddings (
  subject    text PRIMARY KEY,
  provider   text NOT NULL,
  model      text NOT NULL,
  embedding  real[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE kg_api.system_api_keys
  -- Of the key itself, keyed with ENCRYPTION_KEY: tells two keys apart and nothing about them. Null: written before there were any.
  ADD COLUMN fingerprint text CHECK (fingerprint ~ '^[0-9a-f]{16}$'),
  ADD COLUMN source      text CHECK (source ~ '^(env|file):.'),
  -- After this the row is not used any more. Null: no end.
  ADD COLUMN expires_at  timestamptz;

-- While ENCRYPTION_KEY is rotated, the new key sealed with the one before: who has only that one can still read everything.
-- lint: allow constraint-missing-not-valid because the table has one row
ALTER TABLE kg_api.key_fingerprint
  ADD COLUMN previous_key_id text CHECK (previous_key_id ~ '^[0-9a-f]{16}$'),
  ADD COLUMN bridge          bytea,
  ADD CONSTRAINT key_fingerprint_bridge CHECK ((previous_key_id IS NULL) = (bridge IS NULL));

ALTER TABLE kg_api.config_history
  ADD COLUMN topic     text,
  ADD COLUMN before    jsonb,
  ADD COLUMN after     jsonb,
  ADD COLUMN change_id text;
-- All rows of one transaction are one change.
ALTER TABLE kg_api.config_history ALTER COLUMN change_id SET DEFAULT pg_current_xact_id()::text;

CREATE TABLE kg_api.config_version (
  singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  version    bigint NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO kg_api.config_version (version) VALUES (1);

-- The rows of the last change as they were and as they became, ciphertexts included and nothing in the clear.
CREATE TABLE kg_api.config_undo (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  change_id  text NOT NULL,
  table_name text NOT NULL,
  before     jsonb,
  after      jsonb
);

CREATE FUNCTION kg_api.keep_row_image() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO kg_api.config_undo (change_id, table_name, before, after)
  VALUES (
    pg_current_xact_id()::text,
    TG_TABLE_NAME,
    CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
    CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END
  );
  RETURN NULL;
END $$;

-- The row lock on config_version also lets one writer in at a time. The images of the change before go once this one has its own: once per
-- statement, since a look for each of a thousand rows would take longer than all the rest.
CREATE FUNCTION kg_api.announce_config_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM kg_api.config_undo
   WHERE change_id <> pg_current_xact_id()::text
     AND EXISTS (SELECT FROM kg_api.config_undo WHERE change_id = pg_current_xact_id()::text);
  UPDATE kg_api.config_version SET version = version + 1, changed_at = now();
  PERFORM pg_notify('kg_config', '');
  RETURN NULL;
END $$;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['users', 'ai_provider_config', 'embedding_config', 'system_api_keys', 'platform_settings'] LOOP
    EXECUTE format('CREATE TRIGGER keep_row_image AFTER INSERT OR UPDATE OR DELETE ON kg_api.%I
                    FOR EACH ROW EXECUTE FUNCTION kg_api.keep_row_image()', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['users', 'ai_provider_config', 'embedding_config', 'system_api_keys', 'platform_settings', 'key_fingerprint'] LOOP
    EXECUTE format('CREATE TRIGGER announce_config_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kg_api.%I
                    FOR EACH STATEMENT EXECUTE FUNCTION kg_api.announce_config_change()', name);
  END LOOP;
END $$;
