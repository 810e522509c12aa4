#!/bin/sh
# Every step of a release in order: release/run.sh VERSION [STEP...]
# Without names: test package images index sbom manifest provenance sign smoke, which end at a draft in $OUT/site that was installed once.
# Left to be named, because they can't be undone: npm publish. The channel is moved by release/channel.sh.
# Each step can be run alone, and again: what is done already is done over, or found to be there. docs/releasing.md
. "$(dirname "$0")/lib.sh"
released "$@"
shift
[ $# -gt 0 ] || set -- test package images index sbom manifest provenance sign smoke
for step; do
  case $step in
    test | package | images | index | sbom | manifest | provenance | sign | smoke | npm | publish) ;;
    *) die "there is no step $step" "they are: test package images index sbom manifest provenance sign smoke npm publish" ;;
  esac
done
for step; do
  began=$(date +%s)
  "release/$step.sh" "$VERSION" || die "$step failed" "mend it, then go on from there: release/run.sh $VERSION $step ..."
  say "$step took $(($(date +%s) - began)) s"
done
