#!/bin/sh
# `npm test`: installs what is missing, then checks and tests everything this machine can run.
#   KG_REQUIRE_DOCKER=1   fail, instead of saying so, when container tests can't run (CI)
#   KG_REQUIRE_BROWSER=1  the same for Chromium
#   KG_TEST_FULL=1        long sweeps in full instead of a seeded sample (npm run test:full)
set -eu
cd "$(dirname "$0")/.."

say() { printf '\n== %s (%s s)\n' "$1" "$(($(date +%s) - started))"; }
started=$(date +%s)

sh test/install.sh
# The npm package `node` carries the Node version that everything is built for; the machine's own may be older.
PATH="$PWD/node_modules/.bin:$PATH"
export PATH

say 'Format and lint'
biome check .
say 'Types'
npm run typecheck
say 'Build'
npm run build --workspaces --if-present

jest() { node --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js "$@"; }

say 'Unit, integration and shell tests'
# As many workers as cores: jest keeps one back, which leaves a machine of two cores with one test at a time.
jest --selectProjects unit integration shell --maxWorkers=100%

if docker info >/dev/null 2>&1; then
  say 'Container tests'
  jest --selectProjects e2e --runInBand
elif [ "${KG_REQUIRE_DOCKER:-0}" = 1 ]; then
  echo 'Error: KG_REQUIRE_DOCKER=1, and no Docker engine answers' >&2
  exit 1
else
  echo '** No Docker engine answers: the container tests were NOT run. test/bed/up.sh starts one on Debian; CI demands them. **' >&2
fi
say 'Done'
