#!/bin/sh
# `npm start`: installs and builds what is missing, then runs the whole platform in one process. Flags: npm start -- --port 8080 --demo
set -eu
cd "$(dirname "$0")/.."
sh test/install.sh
# The npm package `node` carries the Node version that everything is built for; the machine's own may be older.
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
built() { # PACKAGE FILE: nothing of the source, or of what is bundled into it, is newer
  [ -f "packages/$1/dist/$2" ] || return 1
  case $1 in web) set -- "$1" "$2" packages/web/src ;; *) set -- "$1" "$2" packages/engine/src packages/api/src packages/config/src ;; esac
  newer="packages/$1/dist/$2" && shift 2
  [ -z "$(find "$@" -newer "$newer" | head -n 1)" ]
}
built web index.html || npm run -s build -w @kg-operator/web >&2
built engine main.js || npm run -s build -w kg-operator >&2
exec node packages/engine/bin/run.js dev "$@"
