#!/usr/bin/env bash
# What release/ wants besides the rest of the bed: a BuildKit as a pipeline has it (buildx's docker-container driver, which pushes by
# digest and rewrites times; the engine's own does neither), syft, and an npm registry's program, verdaccio. The image of BuildKit is
# made here, and the base images come from the bed's registry, as a mirror of Docker Hub. Prints settings: eval "$(test/bed/release.sh)"
. "$(dirname "$0")/lib.sh"

IMAGE=moby/buildkit:v$BUILDKIT_VERSION
MIRROR=127.0.0.1:5000
BIN=$CACHE/buildkit/$BUILDKIT_VERSION

# Not `go install …@version`, which its go.mod forbids (it excludes versions): a module that needs it builds it.
binaries() {
  [ -x "$BIN/buildkitd" ] && [ -x "$BIN/buildctl" ] && return
  command -v go >/dev/null || die 'buildkit is built with go, which is not on PATH'
  say "building buildkit $BUILDKIT_VERSION (about 3 minutes on two cores; log $CACHE/buildkit.log)"
  scratch=$(mktemp -d "$CACHE/buildkit.XXXXXX")
  mkdir "$scratch/bin"
  (
    cd "$scratch"
    go mod init bed && go get "github.com/moby/buildkit@v$BUILDKIT_VERSION"
    CGO_ENABLED=0 go build -mod=mod -trimpath -o bin/ github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl
  ) >"$CACHE/buildkit.log" 2>&1 || { tail -n 20 "$CACHE/buildkit.log" >&2; die 'go build buildkit failed'; }
  mkdir -p "$BIN"
  mv "$scratch/bin/buildkitd" "$scratch/bin/buildctl" "$BIN"
}
trap 'rm -rf "${scratch:-}"' EXIT

image() {
  docker image inspect "$IMAGE" >/dev/null 2>&1 && return
  running "$CACHE/dockerd.pid" dockerd || { docker pull -q "$IMAGE" >/dev/null && return; }
  binaries
  docker build -q -t "$IMAGE" -f - "$BIN" >/dev/null <<X2 || die "docker build $IMAGE failed"
FROM debian:$DEBIAN_TAG
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends runc git && ln -s /usr/sbin/runc /usr/local/bin/buildkit-runc
COPY buildkitd buildctl /usr/local/bin/
VOLUME /var/lib/buildkit
ENTRYPOINT ["buildkitd"]
X2
}

# npm's own mirror of a test: nothing of it is ever published outside. node-fetch is named by a tag that not every mirror knows.
verdaccio() {
  local root=$CACHE/verdaccio/$VERDACCIO_VERSION
  [ -e "$root/node_modules/verdaccio/bin/verdaccio" ] && return
  say "installing verdaccio $VERDACCIO_VERSION"
  rm -rf "$root" && mkdir -p "$root"
  printf '{"private":true,"dependencies":{"verdaccio":"%s"},"overrides":{"node-fetch":"2.7.0"}}\n' "$VERDACCIO_VERSION" >"$root/package.json"
  (cd "$root" && npm install --no-audit --no-fund --ignore-scripts) >"$CACHE/verdaccio.log" 2>&1 ||
    { tail -n 20 "$CACHE/verdaccio.log" >&2; die 'npm install verdaccio failed'; }
}

go_tool syft "$SYFT_VERSION" github.com/anchore/syft/cmd/syft
verdaccio
"$BED/images.sh" debian node caddy
"$BED/registry.sh"
image
for name in "debian:$DEBIAN_TAG" "node:$NODE_VERSION-trixie-slim" "caddy:$CADDY_VERSION"; do
  docker tag "$name" "$MIRROR/library/$name"
  docker push -q "$MIRROR/library/$name" >/dev/null || die "docker push $MIRROR/library/$name failed"
  docker image rm "$MIRROR/library/$name" >/dev/null
done
config=$CACHE/buildkitd.toml
printf '[registry."docker.io"]\n  mirrors = ["%s"]\n[registry."%s"]\n  http = true\n' "$MIRROR" "$MIRROR" >"$config"
say "$IMAGE"
# A builder keeps the image it was made of.
printf 'export BUILDER=%s\nexport BUILDKIT_IMAGE=%s\nexport BUILDKIT_CONFIG=%s\nexport SYFT=%s\nexport VERDACCIO=%s\n' \
  "kg-bed-$BUILDKIT_VERSION" "$IMAGE" "$config" "$CACHE/syft/$SYFT_VERSION/syft" \
  "$CACHE/verdaccio/$VERDACCIO_VERSION/node_modules/verdaccio/bin/verdaccio"
