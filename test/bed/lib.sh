# shellcheck shell=bash
# Sourced by every script of the test bed: where things are, the versions, and how to say what happens.

set -eu
BED=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${KG_TESTBED_CACHE:-$HOME/.cache/kg-testbed}
# shellcheck source=versions
. "$BED/versions"
mkdir -p "$CACHE"
export DEBIAN_FRONTEND=noninteractive

# Progress goes to stderr with the seconds since the script began, so a log that stops says where.
say() { printf 'bed %s +%ss: %s\n' "$(basename "$0" .sh)" "$SECONDS" "$*" >&2; }
die() { say "$*"; exit 1; }

# One script of the bed at a time: two people (or two test runs) may call it at once. A script called by another has the lock already.
if [ -z "${KG_TESTBED_LOCKED:-}" ] && command -v flock >/dev/null; then
  exec 9>"$CACHE/lock"
  flock -n 9 || { say 'waiting for another run of the test bed'; flock 9; }
  export KG_TESTBED_LOCKED=1
fi

engine_answers() { docker info >/dev/null 2>&1; }

# running PIDFILE NAME: is the process written in PIDFILE alive, and is it NAME? Process numbers are reused after a reboot,
# so the number alone proves nothing.
running() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}

# stop PIDFILE NAME: ends that process and waits for it, with a deadline.
stop() {
  running "$1" "$2" || { rm -f "$1"; return 0; }
  kill "$(cat "$1")"
  wait_for 30 gone "$1" "$2" || die "$2 did not stop; see $CACHE/$2.log"
  rm -f "$1"
}
gone() { ! running "$1" "$2"; }

# wait_for SECONDS COMMAND...: until COMMAND succeeds; fails at the deadline.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

# detached LOG COMMAND...: starts COMMAND so that it outlives this script and the shell that called it.
detached() {
  local log=$1
  shift
  setsid -f nohup "$@" </dev/null >>"$log" 2>&1 9>&-
}

# mirror SUFFIX: the address of the archive that the machine's own apt uses whose path ends in SUFFIX (debian, debian-security).
mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
    grep -v '^[[:space:]]*#' | grep -oE "[a-z+]+://[^[:space:]]+/$1/?([[:space:]]|\$)" | head -n 1 | tr -d '[:space:]'
}

# installed PACKAGE: by dpkg's own word.
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# apt_install PACKAGE...: those that are missing; the package lists are refreshed only if something is missing.
apt_install() {
  local missing=() p
  for p; do installed "$p" || missing+=("$p"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  # A third-party source of the machine may be out of reach; what counts is whether the install works.
  apt-get update -qq >/dev/null 2>&1 || say 'apt-get update was not wholly successful; going on'
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$CACHE/apt.log" 2>&1 ||
    { tail -n 20 "$CACHE/apt.log" >&2; die "apt-get install ${missing[*]} failed"; }
}

# suite_apt ARGS...: apt-get on Debian $DEBIAN_SUITE with a state of its own; the machine's apt sources stay as they are.
suite_apt() {
  local s=$CACHE/apt
  mkdir -p "$s/lists/partial" "$s/archives/partial"
  : >>"$s/status"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
    "$(mirror debian)" "$DEBIAN_SUITE" >"$s/sources.list"
  apt-get -qq -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$s/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$s/lists" -o Dir::State::Status="$s/status" -o Dir::Cache="$s" \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

# suite_unpack PREFIX PACKAGE...: downloads the packages (not what they depend on) and unpacks them under PREFIX, whole or not at all.
suite_unpack() {
  local prefix=$1 work deb
  shift
  work=$(mktemp -d "$CACHE/unpack.XXXXXX")
  mkdir "$work/debs" "$work/root"
  suite_apt update
  (cd "$work/debs" && suite_apt download "$@")
  for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done
  rm -rf "$prefix"
  mv "$work/root" "$prefix"
  rm -rf "$work"
}

# go_tool NAME VERSION PACKAGE: a program in Go, built once, as $CACHE/NAME/VERSION/NAME. Without go it says so, and the test that wants it.
go_tool() {
  local root=$CACHE/$1/$2
  [ -x "$root/$1" ] && return
  command -v go >/dev/null || { say "$1 is built with go, which is not on PATH"; return; }
  say "building $1 $2 (log $CACHE/$1.log)"
  mkdir -p "$root/new"
  GOBIN=$root/new CGO_ENABLED=0 go install -trimpath "$3@v$2" 2>"$CACHE/$1.log" ||
    { tail -n 20 "$CACHE/$1.log" >&2; die "go install $1 failed"; }
  mv "$root/new/$1" "$root/$1"
  rmdir "$root/new"
}
