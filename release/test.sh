#!/bin/sh
# Everything that can be tested, before anything is released: release/test.sh VERSION
. "$(dirname "$0")/lib.sh"
released "$@"
KG_REQUIRE_DOCKER=1 KG_REQUIRE_BROWSER=1 npm test >&2
