#!/bin/sh
# Publishes the draft: copies it into $PUBLISHED, VERSION first and the list last. Where that is a git work tree, one commit is pushed.
#   release/publish.sh VERSION
. "$(dirname "$0")/lib.sh"
released "$@"
published_folder
! cmp -s "$SITE/channels.json" "$PUBLISHED/channels.json" || LISTED='' # it is published; perhaps the push failed
engine release lint "$SITE" --dir schema/migrations --signatures ${LISTED:+--previous "$LISTED"}
if [ -d "$PUBLISHED/$VERSION" ]; then
  diff -r "$SITE/$VERSION" "$PUBLISHED/$VERSION" >&2 || die "$VERSION is published, and differs" 'a release never changes: take another version'
else
  cp -R "$SITE/$VERSION" "$PUBLISHED/.$VERSION.new"
  mv "$PUBLISHED/.$VERSION.new" "$PUBLISHED/$VERSION"
fi
for name in install.sh channels.json channels.json.minisig; do put "$SITE/$name" "$PUBLISHED/$name"; done
push_published "Publish $VERSION"
say "$VERSION is published in $PUBLISHED; no channel is at it yet: release/channel.sh stable $VERSION"
