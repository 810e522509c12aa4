#!/bin/sh
# Signs the draft with the key in $KEY_FILE (or $KEY, its text), then looks at everything as installations will: release/sign.sh VERSION
# The only step besides channel.sh that sees the key.
. "$(dirname "$0")/lib.sh"
released "$@"
secret_file KEY
[ -n "$SECRET_FILE" ] || die 'there is no key to sign with' 'KEY_FILE names a secret key of minisign (minisign -G -W)'
engine release sign "$SITE/$VERSION/release.json" "$SITE/$VERSION/SHA256SUMS" "$SITE/$VERSION/provenance.json" \
  "$SITE/channels.json" --key-file "$SECRET_FILE"
engine release lint "$SITE" --dir schema/migrations --signatures ${LISTED:+--previous "$LISTED"}
say "$SITE is signed"
