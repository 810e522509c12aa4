#!/bin/sh
# Builds every image for every platform of $PLATFORMS and pushes it by its digest, without a tag: release/images.sh VERSION
# One platform per machine will do, index.sh joins them: what was pushed stands in $OUT/build/images/SERVICE-PLATFORM.json.
. "$(dirname "$0")/lib.sh"
released "$@"
needs docker

# All times in a layer are that of the last change of any Dockerfile, not of the commit: a layer that says the same as in the release
# before is the same then, and nobody downloads it again.
[ "$(git rev-parse --is-shallow-repository)" = false ] ||
  die 'this clone is shallow, and layers have the time of an older commit' 'git fetch --unshallow'
epoch=$(git log -1 --format=%ct -- 'docker/*/Dockerfile')
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# The engine's own BuildKit pushes neither by digest nor with rewritten times; one in a container does both, everywhere alike.
if ! docker buildx inspect "$BUILDER" >/dev/null 2>&1; then
  say "making the builder $BUILDER of $BUILDKIT_IMAGE"
  docker buildx create --name "$BUILDER" --driver docker-container --driver-opt "image=$BUILDKIT_IMAGE,network=host" \
    ${BUILDKIT_CONFIG:+--config "$BUILDKIT_CONFIG"} >/dev/null
fi

# The commit itself, so that neither what is ignored nor anybody's umask gets into an image.
context=$BUILD/context
rm -rf "$context" && mkdir -p "$context" "$BUILD/images"
git -c tar.umask=0022 archive HEAD | tar -xpf - -C "$context"
# A tag of a base image can be moved at any time: each is asked for once, and taken by the digest that it had then.
names=$(sed -n 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' docker/*/Dockerfile | sort -u)
contexts='' bases=''
for base in $names; do
  digest=$(docker buildx imagetools inspect --builder "$BUILDER" --format '{{json .Manifest}}' "$base" |
    node -p 'JSON.parse(fs.readFileSync(0, "utf8")).digest') || die "$base can't be found"
  contexts="$contexts --build-context $base=docker-image://$base@$digest" bases="$bases$base@$digest
"
done

for platform in $(printf '%s' "$PLATFORMS" | tr ',' ' '); do
  printf '%s' "$bases" >"$BUILD/images/bases-$(printf '%s' "$platform" | tr '/' '-').txt"
  for service in $SERVICES; do
    result=$BUILD/images/$service-$(printf '%s' "$platform" | tr '/' '-').json
    say "$service for $platform"
    # shellcheck disable=SC2086 # words
    # Attestations would be part of the index, with the times of this very run: sbom.sh and provenance.sh write them beside it.
    docker buildx build --builder "$BUILDER" --platform "$platform" --file "$context/docker/$service/Dockerfile" \
      --build-arg "VERSION=$VERSION" --build-arg "REVISION=$REVISION" --build-arg "CREATED=$created" --build-arg "SOURCE=$SOURCE" \
      --build-arg "SOURCE_DATE_EPOCH=$epoch" --provenance=false --sbom=false ${NO_CACHE:+--no-cache} \
      --progress plain --metadata-file "$result.new" $contexts \
      --output "type=image,name=$REGISTRY/kg-operator-$service,push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true" \
      "$context" >"$result.log" 2>&1 ||
      { tail -n 30 "$result.log" >&2; die "docker buildx build of $service for $platform failed" "all of it: $result.log"; }
    mv "$result.new" "$result"
  done
done
say "pushed to $REGISTRY"
