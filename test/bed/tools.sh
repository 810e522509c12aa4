#!/usr/bin/env bash
# The Debian packages that tests use (only on a machine with apt and as root; elsewhere it says what they are), and actionlint.
. "$(dirname "$0")/lib.sh"

packages=(age bsdutils busybox ca-certificates curl dash file git iproute2 iptables jq minisign mmdebstrap openssl procps
  runc shellcheck tmux unzip util-linux zip zstd)
[ -n "${KG_CHROMIUM:-}" ] || packages+=(chromium)
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt_install "${packages[@]}"
  say 'tools present'
else
  say "this is no Debian with root: what a test misses of these, install yourself: ${packages[*]}"
fi
go_tool actionlint "$ACTIONLINT_VERSION" github.com/rhysd/actionlint/cmd/actionlint
