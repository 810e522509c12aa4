#!/bin/sh
# Logs in to the registry of $REGISTRY as $REGISTRY_USER with $REGISTRY_TOKEN_FILE (or $REGISTRY_TOKEN), for the steps that push.
. "$(dirname "$0")/lib.sh"
needs docker
secret_file REGISTRY_TOKEN
[ -n "$SECRET_FILE" ] || die 'there is no token' 'REGISTRY_TOKEN_FILE names a file with one'
docker login "${REGISTRY%%/*}" --username "${REGISTRY_USER:-}" --password-stdin <"$SECRET_FILE" >&2
