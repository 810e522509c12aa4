#!/bin/sh
# Joins what images.sh pushed for each platform into one index per service, tagged VERSION, and writes $OUT/build/digests.json, which
# `kg-operator release build --images` reads: release/index.sh VERSION
. "$(dirname "$0")/lib.sh"
released "$@"
needs docker
node release/index.ts
say "$BUILD/digests.json"
