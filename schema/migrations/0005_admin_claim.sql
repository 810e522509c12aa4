-- kind: expand
-- A platform without an admin: whoever has the token that was printed on the host's terminal makes the first one in the web app.

-- At most one row, that of the last token. None: no claim was ever opened here.
CREATE TABLE kg_api.admin_claim (
  singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  -- SHA-256 of the token, which is nowhere else. A slow, salted hash makes guessing dearer where people choose the secret; these are 32
  -- random bytes, and 2^256 guesses need no help to be too many.
  token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  -- When the token has made an admin. It never counts again.
  used_at    timestamptz
);
CREATE TRIGGER announce_config_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kg_api.admin_claim
  FOR EACH STATEMENT EXECUTE FUNCTION kg_api.announce_config_change();
