#!/bin/sh
# What was made of which commit: $OUT/site/VERSION/provenance.json, an in-toto statement with SLSA's provenance, version 1.
#   release/provenance.sh VERSION
. "$(dirname "$0")/lib.sh"
released "$@"
node release/provenance.ts
say "$SITE/$VERSION/provenance.json"
