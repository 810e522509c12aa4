#!/bin/sh
# Makes the commit and the tag of a release: release/version.sh VERSION
# Bumps every file that says the version and moves the changelog's section Unreleased under it (version.ts). Pushes nothing.
. "$(dirname "$0")/lib.sh"
VERSION=${1:-}
[ -n "$VERSION" ] || die 'which version?' 'release/version.sh VERSION'
clean_tree
! git rev-parse -q --verify "refs/tags/v$VERSION" >/dev/null || die "there is a tag v$VERSION" 'a version is released once: take another'
files=$(node release/version.ts "$VERSION" "$(date -u +%Y-%m-%d)") || exit 1
# What fails from here on leaves the tree as it was: it was clean.
trap 'git reset -q --hard' EXIT
printf '%s\n' "$files" | git add --pathspec-from-file=-
git commit -q -m "Release $VERSION"
trap - EXIT
git tag -a "v$VERSION" -m "kg-operator $VERSION"
say "$(git rev-parse --short HEAD) is $VERSION; publish it: git push origin HEAD v$VERSION"
