#!/bin/sh
# Installs the draft as people will, into a directory of its own, and takes it away again: release/smoke.sh VERSION
# The draft is served on loopback, install.sh comes from there, images from $REGISTRY by digest. Wants Docker, and 2 GB of memory.
. "$(dirname "$0")/lib.sh"
released "$@"
needs docker
needs curl
work=$(mktemp -d)
name=kg-smoke-$$
server=''
installer() { sh "$work/install.sh" --dir "$work/$name" --yes "$@" >&2; }
end() {
  status=$?
  trap - EXIT
  if [ -e "$work/$name/operator.sh" ]; then
    [ "$status" = 0 ] || (cd "$work/$name" && ./operator.sh logs --tail 30 >&2) || :
    installer --uninstall --volumes --confirm "$name" || status=1
  fi
  [ -z "$server" ] || kill "$server"
  rm -rf "$work"
  exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

node release/serve.ts "$SITE" >"$work/address" &
server=$!
until [ -s "$work/address" ]; do kill -0 "$server" || die 'the draft could not be served'; sleep 0.1; done
read -r address api_port web_port <"$work/address"
# Loopback is not for a proxy.
curl -fsS --noproxy '*' "$address/install.sh" -o "$work/install.sh"
KG_ADMIN_PASSWORD=$(openssl rand -hex 16)
KG_RELEASES=$address
export KG_ADMIN_PASSWORD KG_RELEASES
installer --version "$VERSION" --set "CONTAINER_PREFIX=$name" --set "API_PORT=$api_port" --set "WEB_PORT=$web_port" \
  -- --ai-provider local --embedding local

# A second observation: what people see, and that what runs is what was signed.
curl -fsS --noproxy '*' "http://127.0.0.1:$web_port/" | grep -q '<title>' || die 'there is no login page'
(cd "$work/$name" && ./operator.sh status >&2) || die 'the platform is not well'
running=$(docker ps --filter "label=com.docker.compose.project=$name" --format '{{.Image}}' | grep kg-operator | sort -u)
[ -n "$running" ] || die 'no container of it runs'
for image in $running; do
  grep -q "${image#*@}" "$SITE/$VERSION/release.json" || die "$image runs, and is not what was signed"
done
say "$VERSION was installed from the draft, and showed its login page"
