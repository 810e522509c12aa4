# shellcheck shell=sh disable=SC2034
# Sourced by every step of the pipeline, with its arguments: the settings, and how the steps talk. docs/releasing.md lists the settings.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
cd "$ROOT"
STEP=$(basename "$0" .sh)
# Of BuildKit and syft: those that the tests have.
# shellcheck source=test/bed/versions
. test/bed/versions
PATH=$ROOT/node_modules/.bin:$PATH
REGISTRY=${REGISTRY:-ghcr.io/kg-operator}
PLATFORMS=${PLATFORMS:-linux/amd64,linux/arm64}
OUT=${OUT:-$ROOT/out}
PUBLISHED=${PUBLISHED:-}
URL=${URL:-}
NPM_REGISTRY=${NPM_REGISTRY:-https://registry.npmjs.org}
SOURCE=${SOURCE:-unknown}
BUILDER=${BUILDER:-kg-release}
BUILDKIT_IMAGE=${BUILDKIT_IMAGE:-moby/buildkit:v$BUILDKIT_VERSION}
BUILDKIT_CONFIG=${BUILDKIT_CONFIG:-}
BUILDER_ID=${BUILDER_ID:-urn:kg-operator:builder:local}
SYFT=${SYFT:-syft}
SERVICES='api gateway operator postgres web'
export PATH REGISTRY PLATFORMS OUT PUBLISHED URL NPM_REGISTRY SOURCE BUILDER_ID SERVICES

say() { printf '%s: %s\n' "$STEP" "$*" >&2; }
die() { # MESSAGE [HINT]
  printf 'release/%s: %s\n' "$STEP" "$1" >&2
  [ -z "${2-}" ] || printf '  %s\n' "$2" >&2
  exit 1
}
needs() { command -v "$1" >/dev/null 2>&1 || die "$1 is not installed" "${2-}"; }

# clean_tree: what is released is a commit, and nothing beside it.
clean_tree() {
  changes=$(git status --porcelain) || die 'this is no git repository'
  [ -z "$changes" ] || die "the working tree differs from its commit: $changes" 'commit or remove it; a release is made of a commit'
}

# released VERSION: checks that this tree is of that version, and says what it is made of. A tag will do: v1.2.0.
released() {
  VERSION=${1:-} VERSION=${VERSION#v}
  [ -n "$VERSION" ] || die 'which version?' "release/$STEP.sh VERSION"
  clean_tree
  said=$(node -p "require('./package.json').version")
  [ "$said" = "$VERSION" ] || die "this tree is version $said, not $VERSION" "git checkout v$VERSION, or release/version.sh $VERSION"
  REVISION=$(git rev-parse HEAD)
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  BUILD=$OUT/build
  SITE=$OUT/site
  mkdir -p "$BUILD"
  export VERSION REVISION SOURCE_DATE_EPOCH BUILD SITE
}

# engine ARGS...: kg-operator of this commit. It is built once, beside what else is made, and finds its packages by a link.
engine() {
  engine=$OUT/build/engine
  if [ "$(cat "$engine/REVISION" 2>/dev/null)" != "$(git rev-parse HEAD)" ]; then
    mkdir -p "$OUT/build"
    [ -e "$OUT/build/node_modules" ] || ln -s "$ROOT/node_modules" "$OUT/build/node_modules"
    node packages/engine/build.js "$engine" >&2
    git rev-parse HEAD >"$engine/REVISION"
  fi
  node "$engine/bin/run.js" "$@" >&2
}

# secret_file NAME: the file that $NAME_FILE names, or one with what $NAME says, which is gone when the step ends. In $SECRET_FILE.
secret_file() {
  eval "SECRET_FILE=\${$1_FILE:-} secret_text=\${$1:-}"
  if [ -z "$SECRET_FILE" ] && [ -n "$secret_text" ]; then
    SECRET_FILE=$(umask 077 && mktemp)
    trap 'rm -f "$SECRET_FILE"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '%s\n' "$secret_text" >"$SECRET_FILE"
  fi
  secret_text='' && unset "$1"
}

# published_folder: there must be one. LISTED: its list, '' if it has none.
published_folder() {
  [ -d "$PUBLISHED" ] || die "${PUBLISHED:-PUBLISHED} is no folder" 'PUBLISHED names the folder that is published, or a clone of its branch'
}
put() { cp "$1" "$2.new" && mv "$2.new" "$2"; } # FILE TO: whoever reads sees the old one or the new one
push_published() { # MESSAGE
  [ -e "$PUBLISHED/.git" ] || return 0
  git -C "$PUBLISHED" add --all
  git -C "$PUBLISHED" diff --cached --quiet || git -C "$PUBLISHED" commit -q -m "$1"
  git -C "$PUBLISHED" push -q origin HEAD
}
LISTED=
[ -z "$PUBLISHED" ] || [ ! -e "$PUBLISHED/channels.json" ] || LISTED=$PUBLISHED/channels.json
