#!/bin/sh
# Installs the dependencies if anything is missing. `npm test` and `npm start` call it from the repository's root.
set -eu
# npm writes this file at the end of an install; a newer lock file means that something is missing.
if [ ! -f node_modules/.package-lock.json ] || [ -n "$(find package-lock.json -newer node_modules/.package-lock.json)" ]; then
  echo 'Installing dependencies' >&2
  # Not `npm ci`: it refuses a lock file that was written against a mirror without other platforms' optional packages.
  npm install --no-save --no-audit --no-fund --loglevel=error >&2
fi
