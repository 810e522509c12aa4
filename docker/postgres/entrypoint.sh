#!/bin/sh
# Initialises the data directory once, then becomes PostgreSQL. Nothing listens, not even on a socket, before the database exists.
#
# POSTGRES_USER, POSTGRES_DB      superuser and database to create (kg, kg)
# POSTGRES_PASSWORD[_FILE]        its password; needed only while there is no data. Data that exists is never edited:
#                                 a different password here makes the health check fail, it does not change the one inside.
set -eu

: "${POSTGRES_USER:=kg}" "${POSTGRES_DB:=kg}"
home=/var/lib/postgresql

say() { printf 'kg-postgres: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

initialise() {
  case $POSTGRES_USER$POSTGRES_DB in *[!a-z0-9_]*) die 'POSTGRES_USER and POSTGRES_DB are made of a-z, 0-9 and _' ;; esac
  if [ -n "${POSTGRES_PASSWORD:-}" ]; then
    password=$POSTGRES_PASSWORD
  elif [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    password=$(cat "$POSTGRES_PASSWORD_FILE") || die "POSTGRES_PASSWORD_FILE is not readable: $POSTGRES_PASSWORD_FILE"
  else
    password=
  fi
  [ -n "$password" ] || die 'no data yet, and no password to create it with: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE (./operator.sh init writes it)'
  for other in "$home"/*/data/PG_VERSION; do
    [ ! -e "$other" ] || die "this volume holds data of another major version ($other): refusing to start an empty database beside it"
  done

  # Under another name until it is whole: what a kill leaves behind is thrown away by the next start.
  say "initialising database $POSTGRES_DB for user $POSTGRES_USER"
  mkdir -p "${PGDATA%/*}"
  # The builtin provider sorts by code point: no update of libc or ICU can ever corrupt an index.
  printf '%s\n' "$password" | initdb -D "$PGDATA.new" --username="$POSTGRES_USER" --pwfile=/dev/stdin --auth=scram-sha-256 \
    --data-checksums --encoding=UTF8 --locale=C.UTF-8 --locale-provider=builtin --builtin-locale=C.UTF-8 >/dev/null
  if [ "$POSTGRES_DB" != postgres ]; then
    # A database is made by a single process without a listener; exit_on_error, or it would report success regardless.
    printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" | postgres --single -D "$PGDATA.new" -c exit_on_error=on postgres >/dev/null
  fi
  sync
  mv -T "$PGDATA.new" "$PGDATA"
  sync
  say 'initialised'
}

# `docker run IMAGE psql …` and the like.
[ $# -eq 0 ] || exec "$@"

# Two servers in two containers do not see each other's process numbers, so postmaster.pid cannot keep them apart; the kernel can,
# and it lets go when the last process of the first is gone.
exec 9>"$home/lock"
flock -n 9 || die "another container is using this volume"

rm -rf "$PGDATA.new"
[ -s "$PGDATA/PG_VERSION" ] || initialise
unset POSTGRES_PASSWORD password
exec postgres -D "$PGDATA" -c config_file=/etc/kg-postgres/postgresql.conf
