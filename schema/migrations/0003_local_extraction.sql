-- kind: expand
-- `local` extracts by rules inside the API: no provider, no key.

ALTER TABLE kg_api.ai_provider_config
  DROP CONSTRAINT ai_provider_config_provider_check,
  ADD CONSTRAINT ai_provider_config_provider_check CHECK (provider IN ('openai', 'anthropic', 'local'));
