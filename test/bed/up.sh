#!/usr/bin/env bash
# Everything the integration and end-to-end tests need on this machine, each only if it is not there yet:
# a Docker engine, the base images, a registry, tools. Says what it is doing on stderr and ends with a table on stdout.
# Stop what it started with down.sh. The cache is $KG_TESTBED_CACHE, by default ~/.cache/kg-testbed.
. "$(dirname "$0")/lib.sh"

# The engine and its first images come first: what other people wait for.
"$BED/engine.sh"
"$BED/images.sh" debian node
"$BED/tools.sh"
"$BED/registry.sh"
"$BED/images.sh" caddy garage
"$BED/release.sh" >/dev/null

printf '%-10s %s\n' engine "$(docker version --format '{{.Server.Version}}')" \
  compose "$(docker compose version --short)" buildx "$(docker buildx version | cut -d' ' -f2)" \
  registry 127.0.0.1:5000 cache "$CACHE"
docker image ls --format '{{printf "%-10s" "image"}} {{.Repository}}:{{.Tag}} {{.Size}}' |
  grep -E '^image +(debian|node|caddy|dxflrs/garage):' | sort
