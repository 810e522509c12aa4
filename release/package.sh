#!/bin/sh
# The npm package: $OUT/build/kg-operator-VERSION.tgz. npm gives every file in it the same time, so the same commit gives the same bytes.
. "$(dirname "$0")/lib.sh"
released "$@"
npm pack --silent --workspace kg-operator --pack-destination "$BUILD" >&2
say "$BUILD/kg-operator-$VERSION.tgz: $(sha256sum "$BUILD/kg-operator-$VERSION.tgz" | cut -c1-64)"
