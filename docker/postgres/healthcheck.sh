#!/bin/sh
# Healthy means: the application could log in now. Over TCP, with the password, into the database.
set -eu
PGPASSWORD=${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:-/dev/null}")} PGCONNECT_TIMEOUT=3 \
  exec psql -h 127.0.0.1 -U "${POSTGRES_USER:-kg}" -d "${POSTGRES_DB:-kg}" -XAtqw -c 'SELECT 1'
