#!/usr/bin/env bash
# The Garage server, built once from its crate into the cache. Optimised lightly: tests need it soon, not fast.
# Two cores take about five minutes.
. "$(dirname "$0")/lib.sh"

root=$CACHE/garage
if [ ! -x "$root/bin/garage" ]; then
  command -v cargo >/dev/null || die 'garage is built with cargo, which is not on PATH'
  say "building garage $GARAGE_VERSION (about 5 minutes on two cores; log $CACHE/garage.log)"
  mkdir -p "$root"
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 \
    CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_PANIC=abort \
    CARGO_TARGET_DIR=$root/target \
    cargo install garage --version "$GARAGE_VERSION" --locked --no-default-features --features bundled-libs,sqlite \
    --root "$root" </dev/null >"$CACHE/garage.log" 2>&1 || { tail -n 20 "$CACHE/garage.log" >&2; die 'cargo install garage failed'; }
fi
rm -rf "$root/target"
say "$("$root/bin/garage" --version)"
