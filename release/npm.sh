#!/bin/sh
# Publishes the npm package that package.sh made to $NPM_REGISTRY: release/npm.sh VERSION
# With $NPM_TOKEN_FILE (or $NPM_TOKEN); without, npm takes the identity of the workflow. On GitHub the registry keeps its provenance.
. "$(dirname "$0")/lib.sh"
released "$@"
package=$BUILD/kg-operator-$VERSION.tgz
[ -e "$package" ] || die "there is no $package" "release/package.sh $VERSION makes it"
sum=sha512-$(openssl dgst -sha512 -binary "$package" | openssl base64 -A)
published() { npm view "kg-operator@$VERSION" dist.integrity --registry "$NPM_REGISTRY" 2>/dev/null || :; }
secret_file NPM_TOKEN
if [ -n "$SECRET_FILE" ]; then
  # npm reads the variable when it reads the file.
  NPM_CONFIG_USERCONFIG=$BUILD/npmrc
  export NPM_CONFIG_USERCONFIG NPM_TOKEN_VALUE
  # shellcheck disable=SC2016
  printf '%s/:_authToken=${NPM_TOKEN_VALUE}\n' "${NPM_REGISTRY#http*:}" | sed 's|//:|/:|' >"$NPM_CONFIG_USERCONFIG"
  NPM_TOKEN_VALUE=$(cat "$SECRET_FILE")
fi
case $(published) in
  "$sum") say "kg-operator $VERSION is in $NPM_REGISTRY already" ;;
  '')
    tag=latest
    case $VERSION in *-*) tag=next ;; esac
    npm publish "$package" --registry "$NPM_REGISTRY" --access public --tag "$tag" ${GITHUB_ACTIONS:+--provenance} >&2
    [ "$(published)" = "$sum" ] || die "$NPM_REGISTRY does not give back what was published" 'look at the registry, then run this again'
    say "kg-operator $VERSION is in $NPM_REGISTRY"
    ;;
  *) die "kg-operator $VERSION is in $NPM_REGISTRY, and is another" 'a version never changes: take another' ;;
esac
