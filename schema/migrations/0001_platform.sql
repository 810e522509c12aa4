-- kind: expand
-- The platform's relational tables. Ciphertexts are packages/config's credential format; no table holds a secret in the clear.

CREATE SCHEMA kg_api;

CREATE TABLE kg_api.users (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  username      text NOT NULL UNIQUE CHECK (username ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
  role          text NOT NULL CHECK (role IN ('admin', 'member')),
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kg_api.ai_provider_config (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  provider   text NOT NULL CHECK (provider IN ('openai', 'anthropic')),
  model      text NOT NULL CHECK (model <> ''),
  base_url   text,
  active     boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ai_provider_config_one_active ON kg_api.ai_provider_config (active) WHERE active;

CREATE TABLE kg_api.embedding_config (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  provider   text NOT NULL CHECK (provider IN ('local', 'openai')),
  model      text NOT NULL CHECK (model <> ''),
  dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 16000),
  active     boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX embedding_config_one_active ON kg_api.embedding_config (active) WHERE active;

CREATE TABLE kg_api.system_api_keys (
  provider   text PRIMARY KEY,
  key_id     text NOT NULL CHECK (key_id ~ '^[0-9a-f]{16}$'),
  ciphertext bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kg_api.platform_settings (
  key        text PRIMARY KEY,
  value      jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kg_api.config_history (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at      timestamptz NOT NULL DEFAULT now(),
  actor   text NOT NULL,
  action  text NOT NULL,
  subject text NOT NULL,
  detail  jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE kg_api.key_fingerprint (
  singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  key_id      text NOT NULL CHECK (key_id ~ '^[0-9a-f]{16}$'),
  created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kg_api.documents (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  title      text NOT NULL CHECK (title <> ''),
  object_key text NOT NULL UNIQUE,
  bytes      bigint NOT NULL CHECK (bytes >= 0),
  sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
