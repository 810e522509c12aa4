#!/usr/bin/env bash
# An image registry on 127.0.0.1:5000: Debian's docker-registry, unpacked, not installed, so no system service comes with it.
# Deleting is allowed and the data is under the cache: tests push, tamper and delete.
. "$(dirname "$0")/lib.sh"

REGISTRY=$CACHE/registry
PIDFILE=$CACHE/docker-registry.pid

registry_answers() { curl -fsS --noproxy '*' -m 2 -o /dev/null http://127.0.0.1:5000/v2/ 2>/dev/null; }

if ! registry_answers && [ -z "$(mirror debian)" ]; then
  docker run -d --name kg-testbed-registry -p 127.0.0.1:5000:5000 -e REGISTRY_STORAGE_DELETE_ENABLED=true registry:2 >/dev/null
  wait_for 20 registry_answers || die 'the registry did not answer within 20 s'
elif ! registry_answers; then
  [ -x "$REGISTRY/usr/bin/docker-registry" ] || { say "unpacking Debian $DEBIAN_SUITE's docker-registry"; suite_unpack "$REGISTRY" docker-registry; }
  mkdir -p "$CACHE/registry-data"
  cat >"$CACHE/registry.yml" <<Y
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: $CACHE/registry-data}
  delete: {enabled: true}
http: {addr: 127.0.0.1:5000}
Y
  # A registry that runs but does not answer is no use: start over.
  stop "$PIDFILE" docker-registry
  # The shell becomes the registry, so the number it writes is the registry's.
  # shellcheck disable=SC2016
  detached "$CACHE/docker-registry.log" sh -c 'echo $$ >"$1"; exec "$2" serve "$3"' \
    sh "$PIDFILE" "$REGISTRY/usr/bin/docker-registry" "$CACHE/registry.yml"
  wait_for 20 registry_answers || { tail -n 20 "$CACHE/docker-registry.log" >&2; die 'the registry did not answer within 20 s'; }
fi
say 'registry on 127.0.0.1:5000'
