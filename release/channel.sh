#!/bin/sh
# Changes the list that is published, $PUBLISHED/channels.json, and nothing else: a higher number, a new expiry, signed, and looked at.
#   release/channel.sh CHANNEL VERSION                         the channel is at this version from now on
#   release/channel.sh renew                                   the list is good for another $DAYS days (90)
#   release/channel.sh withdraw VERSION REASON [REPLACEMENT]   nobody is offered this version any more
. "$(dirname "$0")/lib.sh"
usage() { die 'what is to change?' 'release/channel.sh CHANNEL VERSION | renew | withdraw VERSION REASON [REPLACEMENT]'; }
case ${1:-}:$# in
  renew:1) what='Renew the list' && set -- ;;
  withdraw:3) what="Withdraw $2" && set -- --yank "$2=$3" ;;
  withdraw:4) what="Withdraw $2" && set -- --yank "$2=$3" --replace "$2=$4" ;;
  renew:* | withdraw:* | :*) usage ;;
  *:2) what="Channel $1: $2" && set -- --set "$1=$2" ;;
  *) usage ;;
esac
clean_tree
published_folder
[ -n "$LISTED" ] || die "there is no list in $PUBLISHED" 'release/publish.sh writes the first one'
secret_file KEY
[ -n "$SECRET_FILE" ] || die 'there is no key to sign with' 'KEY_FILE names a secret key of minisign (minisign -G -W)'
draft=$OUT/build/list
rm -rf "$draft" && mkdir -p "$draft"
(cd "$PUBLISHED" && tar -cf - --exclude=./.git .) | tar -xf - -C "$draft"
engine release channels "$draft" "$@" --issued-at "${ISSUED_AT:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}" --days "${DAYS:-90}"
engine release sign "$draft/channels.json" --key-file "$SECRET_FILE"
engine release lint "$draft" --signatures --previous "$LISTED"
for name in channels.json channels.json.minisig; do put "$draft/$name" "$PUBLISHED/$name"; done
push_published "$what"
say "$what: done, in $PUBLISHED"
