#!/bin/sh
# The draft, $OUT/site: what is published now ($PUBLISHED), and beside it VERSION with release.json, install.sh, the archive, sums and
# SBOMs, and a list that knows it; channels stay where they are. Nothing is signed yet: release/manifest.sh VERSION
. "$(dirname "$0")/lib.sh"
released "$@"
[ -z "$PUBLISHED" ] || [ -d "$PUBLISHED" ] || die "there is no folder $PUBLISHED" 'PUBLISHED: a copy of what is published, or nothing'
rm -rf "$SITE" && mkdir -p "$SITE"
# Without the .git of a branch that is published.
[ -z "$PUBLISHED" ] || (cd "$PUBLISHED" && tar -cf - --exclude=./.git .) | tar -xf - -C "$SITE"

node release/version.ts notes "$VERSION" >"$BUILD/notes.md"
# shellcheck disable=SC2016
node -e '
  const read = (path) => fs.readFileSync(path, "utf8");
  const { BUILD } = process.env;
  const policy = { ...JSON.parse(read("release/policy.json")), notes: read(`${BUILD}/notes.md`).trim() };
  fs.writeFileSync(`${BUILD}/policy.json`, JSON.stringify(policy));
'
engine release build "$SITE" "$VERSION" --images "$BUILD/digests.json" --policy "$BUILD/policy.json" --dir schema/migrations
engine release assets "$SITE" "$VERSION" ${URL:+--url "$URL"}
mkdir -p "$SITE/$VERSION/sbom"
cp "$BUILD"/sbom/*.spdx.json "$SITE/$VERSION/sbom/"

# The time of the commit, or of the list before if that is later: the same input gives the same list.
# shellcheck disable=SC2016
issued=$(node -e '
  const { SITE, SOURCE_DATE_EPOCH } = process.env;
  const file = `${SITE}/channels.json`;
  const before = fs.existsSync(file) ? Date.parse(JSON.parse(fs.readFileSync(file, "utf8")).issuedAt) : 0;
  console.log(new Date(Math.max(before, SOURCE_DATE_EPOCH * 1000)).toISOString());
')
engine release channels "$SITE" --issued-at "$issued"
say "$SITE"
