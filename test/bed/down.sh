#!/usr/bin/env bash
# Stops what the test bed started, and only that. Images, volumes and the cache stay.
. "$(dirname "$0")/lib.sh"

stop "$CACHE/docker-registry.pid" docker-registry
stop "$CACHE/dockerd.pid" dockerd
say 'stopped'
