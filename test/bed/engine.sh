#!/usr/bin/env bash
# A Docker engine that answers. One that already does (a developer's own) is used as it is; otherwise Debian $DEBIAN_SUITE's
# is unpacked under the cache and started detached. Needs root only in the second case.
. "$(dirname "$0")/lib.sh"

ENGINE=$CACHE/engine

unpack() {
  [ -x "$ENGINE/usr/sbin/dockerd" ] && return
  say "unpacking Debian $DEBIAN_SUITE's Docker"
  suite_unpack "$ENGINE" docker.io docker-cli docker-compose docker-buildx containerd tini
  # Built for a newer C library than an older Debian has: the machine's own runc takes its place.
  rm -f "$ENGINE/usr/sbin/runc" "$ENGINE/usr/bin/runc"
}

link_cli() {
  local plugin
  command -v docker >/dev/null || ln -s "$ENGINE/usr/bin/docker" /usr/local/bin/docker
  mkdir -p "$HOME/.docker/cli-plugins"
  for plugin in compose buildx; do
    docker "$plugin" version >/dev/null 2>&1 ||
      ln -sf "$ENGINE/usr/libexec/docker/cli-plugins/docker-$plugin" "$HOME/.docker/cli-plugins/docker-$plugin"
  done
  { docker compose version && docker buildx version; } >/dev/null || die 'the docker command has no compose or buildx'
}

start() {
  # What a power cut or a reboot left: /var/run may be on disk, and the numbers in it may be other processes by now.
  running "$CACHE/dockerd.pid" dockerd || rm -f "$CACHE/dockerd.pid"
  running /var/run/docker/containerd/containerd.pid containerd || rm -f /var/run/docker/containerd/containerd.pid
  if [ ! -e "$CACHE/dockerd.pid" ]; then
    say 'starting dockerd'
    PATH=$ENGINE/usr/sbin:$ENGINE/usr/bin:$ENGINE/usr/libexec/docker:$PATH \
      detached "$CACHE/dockerd.log" dockerd --pidfile "$CACHE/dockerd.pid"
  fi
  wait_for 60 engine_answers || { tail -n 30 "$CACHE/dockerd.log" >&2; die 'dockerd did not answer within 60 s'; }
}

if ! command -v docker >/dev/null || ! engine_answers; then
  [ "$(id -u)" = 0 ] || die 'no Docker engine answers, and only root can start one'
  [ -z "${DOCKER_HOST:-}" ] || die "DOCKER_HOST is $DOCKER_HOST, and no engine answers there"
  apt_install iptables runc ca-certificates
  unpack
  link_cli
  start
fi
docker compose version >/dev/null 2>&1 || link_cli
say "engine $(docker version --format '{{.Server.Version}}')"
