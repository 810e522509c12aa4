#!/usr/bin/env bash
# The base images our Dockerfiles and tests name, each made only if absent. `images.sh NAME...` makes only those:
# debian node caddy garage. On an engine that the bed did not start, they are pulled: they are the public images' names.
. "$(dirname "$0")/lib.sh"

DEBIAN=debian:$DEBIAN_TAG
NODE=node:$NODE_VERSION-trixie-slim
CADDY=caddy:$CADDY_VERSION
GARAGE=dxflrs/garage:v$GARAGE_VERSION

present() { docker image inspect "$1" >/dev/null 2>&1; }

# make IMAGE FUNCTION [TAG...]: has IMAGE pulled or made, then gives it the other tags.
make() {
  local image=$1 how=$2 tag
  shift 2
  if ! present "$image"; then
    say "making $image"
    if running "$CACHE/dockerd.pid" dockerd || ! docker pull -q "$image" >/dev/null; then
      scratch=$(mktemp -d "$CACHE/image.XXXXXX")
      "$how"
      rm -rf "$scratch"
    fi
    present "$image" || die "$image was not made"
  fi
  for tag; do docker tag "$image" "$tag"; done
}
trap 'rm -rf "${scratch:-}"' EXIT

# What the public slim image does too: no manuals, no service started by an installation, no package archives left in a layer.
debian_image() {
  local main security root=$scratch/etc
  apt_install mmdebstrap ca-certificates
  main=$(mirror debian)
  security=$(mirror debian-security)
  mkdir -p "$root/apt/apt.conf.d" "$root/dpkg/dpkg.cfg.d" "$root/ssl/certs" "$scratch/ca" "$scratch/usr/sbin"
  {
    echo "deb $main $DEBIAN_SUITE main"
    echo "deb $main $DEBIAN_SUITE-updates main"
    [ -z "$security" ] || echo "deb $security $DEBIAN_SUITE-security main"
  } >"$scratch/sources"
  cat >"$root/apt/apt.conf.d/docker-clean" <<'X'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
X
  echo force-unsafe-io >"$root/dpkg/dpkg.cfg.d/docker-apt-speedup"
  printf '#!/bin/sh\nexit 101\n' >"$scratch/usr/sbin/policy-rc.d"
  chmod 755 "$scratch/usr/sbin/policy-rc.d"
  # A machine behind a proxy trusts authorities of its own; its containers must too.
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp -L {} "$scratch/ca/" \; 2>/dev/null || :
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/ssl/certs/"
  # shellcheck disable=SC2016 # "$1" is the hook's, the new root
  mmdebstrap --quiet --variant=minbase --include=ca-certificates --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
    --customize-hook="copy-in '$root/apt' '$root/dpkg' /etc" \
    --customize-hook="sync-in '$scratch/ca' /usr/local/share/ca-certificates" \
    --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1' \
    --customize-hook="copy-in '$root/ssl' /etc" \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/etc/hostname "$1"/etc/resolv.conf' \
    "$DEBIAN_SUITE" "$scratch/root.tar" - <"$scratch/sources" >"$CACHE/mmdebstrap.log" 2>&1 ||
    { tail -n 20 "$CACHE/mmdebstrap.log" >&2; die 'mmdebstrap failed'; }
  # Last, as mmdebstrap removes this very file when it ends.
  tar -C "$scratch" --owner=0 --group=0 -rf "$scratch/root.tar" ./usr/sbin/policy-rc.d
  docker import --change 'CMD ["bash"]' \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
    --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' \
    "$scratch/root.tar" "$DEBIAN" >/dev/null
}

# Debian plus the binary that the npm package `node` ships for Linux, npm, and what the public image adds: the user node, and
# an entry point that gives node whatever is not a command.
node_image() {
  local arch=x64
  [ "$(uname -m)" = x86_64 ] || arch=arm64
  (cd "$scratch" && npm pack --silent "node-linux-$arch@$NODE_VERSION" "npm@$NPM_VERSION" >/dev/null)
  mkdir -p "$scratch/local/lib/node_modules" "$scratch/local/bin"
  tar -xzf "$scratch/node-linux-$arch-$NODE_VERSION.tgz" -C "$scratch" --no-same-owner package/bin/node
  mv "$scratch/package/bin/node" "$scratch/local/bin/node"
  tar -xzf "$scratch/npm-$NPM_VERSION.tgz" -C "$scratch" --no-same-owner
  mv "$scratch/package" "$scratch/local/lib/node_modules/npm"
  ln -s node "$scratch/local/bin/nodejs"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$scratch/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$scratch/local/bin/npx"
  chmod 755 "$scratch/local/bin/node" "$scratch"/local/lib/node_modules/npm/bin/np*-cli.js
  cat >"$scratch/local/bin/docker-entrypoint.sh" <<'X'
#!/bin/sh
set -e
case ${1:-} in -*) set -- node "$@" ;; esac
if [ -z "$(command -v "${1:-}")" ] || { [ -f "$1" ] && ! [ -x "$1" ]; }; then set -- node "$@"; fi
exec "$@"
X
  chmod 755 "$scratch/local/bin/docker-entrypoint.sh"
  build "$NODE" <<X
FROM $DEBIAN
RUN groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node
ENV NODE_VERSION=$NODE_VERSION
COPY local /usr/local
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["node"]
X
}

# Debian plus Caddy built from its Go module: the version we want, where Debian's own is older. As in the public image the binary
# has the file capability for low ports (so a container that drops NET_BIND_SERVICE cannot start it), and busybox gives wget.
caddy_image() {
  local bin=$CACHE/caddy/$CADDY_VERSION/caddy
  apt_install busybox
  if [ ! -x "$bin" ]; then
    command -v go >/dev/null || die 'caddy is built with go, which is not on PATH'
    say "building caddy $CADDY_VERSION (2 to 3 minutes on two cores; log $CACHE/caddy.log)"
    mkdir -p "$(dirname "$bin")"
    GOBIN=$scratch CGO_ENABLED=0 go install -trimpath \
      -ldflags "-s -w -X github.com/caddyserver/caddy/v2.CustomVersion=v$CADDY_VERSION" \
      "github.com/caddyserver/caddy/v2/cmd/caddy@v$CADDY_VERSION" 2>"$CACHE/caddy.log" ||
      { tail -n 20 "$CACHE/caddy.log" >&2; die 'go install caddy failed'; }
    mv "$scratch/caddy" "$bin"
  fi
  mkdir -p "$scratch/bin"
  cp "$bin" "$(command -v busybox)" "$scratch/bin/"
  ln -s busybox "$scratch/bin/wget"
  printf ':80 {\n\troot * /usr/share/caddy\n\tfile_server\n}\n' >"$scratch/Caddyfile"
  build "$CADDY" <<X
FROM $DEBIAN AS bin
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libcap2-bin
COPY bin /out
RUN setcap cap_net_bind_service=+ep /out/caddy
FROM $DEBIAN
COPY --from=bin /out /usr/bin
COPY Caddyfile /etc/caddy/Caddyfile
RUN mkdir -p /config/caddy /data/caddy /usr/share/caddy /srv
ENV CADDY_VERSION=v$CADDY_VERSION XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
EXPOSE 80 443 443/udp 2019
WORKDIR /srv
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
X
}

# The binary and the C libraries it needs, nothing else: the public image has no shell either, and what needs one must fail here too.
garage_image() {
  local root=$scratch/root lib
  "$BED/garage.sh"
  mkdir -p "$root/tmp"
  chmod 1777 "$root/tmp"
  cp "$CACHE/garage/bin/garage" "$root/garage"
  for lib in $(ldd "$root/garage" | grep -oE '/[^ ]+'); do
    mkdir -p "$root/$(dirname "$lib")"
    cp -L "$lib" "$root/$lib"
  done
  build "$GARAGE" <<X
FROM scratch
COPY root /
ENV RUST_BACKTRACE=1 RUST_LOG=garage=info
CMD ["/garage", "server"]
X
}

# build IMAGE: a Dockerfile on stdin, $scratch as its context.
build() {
  docker build -q -t "$1" -f - "$scratch" >/dev/null || die "docker build $1 failed"
}

[ $# -gt 0 ] || set -- debian node caddy garage
for name; do
  case $name in
    debian) make "$DEBIAN" debian_image "debian:$DEBIAN_SUITE-slim" ;;
    node) make "$NODE" node_image "node:${NODE_VERSION%%.*}-trixie-slim" ;;
    caddy) make "$CADDY" caddy_image "caddy:${CADDY_VERSION%%.*}" ;;
    garage) make "$GARAGE" garage_image ;;
    *) die "no image called $name" ;;
  esac
done
say "present: $*"
