#!/bin/sh
# What is in the images and in the npm package, as SPDX 2.3: $OUT/build/sbom/NAME.spdx.json, with the same bytes for the same content.
#   release/sbom.sh VERSION
# syft sees Debian packages and Go programs. What esbuild bundled it can't see: npm-packages.spdx.json lists the whole workspace.
. "$(dirname "$0")/lib.sh"
released "$@"
if ! command -v "$SYFT" >/dev/null 2>&1; then
  needs go "there is no $SYFT: install syft or go, or name syft: SYFT=FILE"
  say "building syft $SYFT_VERSION"
  GOBIN=$BUILD/bin CGO_ENABLED=0 go install -trimpath "github.com/anchore/syft/cmd/syft@v$SYFT_VERSION"
  SYFT=$BUILD/bin/syft
fi
rm -rf "$BUILD/sbom" && mkdir -p "$BUILD/sbom"
# Packages, not every file of every package.
export SYFT_CHECK_FOR_APP_UPDATE=false SYFT_FILE_METADATA_SELECTION=none
# shellcheck disable=SC2016
node -e '
  const images = JSON.parse(fs.readFileSync(`${process.env.BUILD}/digests.json`, "utf8"));
  for (const [service, { name, platforms }] of Object.entries(images))
    for (const [platform, { digest }] of Object.entries(platforms))
      console.log(service, platform, `${name}@${digest}`);
' >"$BUILD/sbom.list"
while read -r service platform image; do
  say "$service for $platform"
  "$SYFT" scan --quiet --platform "$platform" --output spdx-json "registry:$image" </dev/null >"$BUILD/sbom.new" ||
    die "syft could not read $image"
  node release/sbom.ts "$image" "$BUILD/sbom.new" "$BUILD/sbom/$service-$(printf '%s' "$platform" | tr '/' '-').spdx.json"
done <"$BUILD/sbom.list"
npm sbom --sbom-format spdx --sbom-type application --package-lock-only >"$BUILD/sbom.new"
node release/sbom.ts "kg-operator@$VERSION" "$BUILD/sbom.new" "$BUILD/sbom/npm-packages.spdx.json"
rm -f "$BUILD/sbom.new" "$BUILD/sbom.list"
say "$BUILD/sbom"
