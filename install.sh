#!/bin/sh
# kg-operator on a host with Docker, from what its publisher signed. What it does and takes: help_text below. docs/getting-started.md
# shellcheck disable=SC2086,SC2015,SC2012 # KEYS, SETTINGS and SHA256 are lists of words; A && B || fail; ls of one directory
{ # up to the last line: a script that is cut short on its way is a syntax error, and nothing of it runs
set -eu
RELEASES_URL='' # where releases are published; like the next two written by "kg-operator release assets", for who publishes
RELEASE_KEYS='' # public keys of minisign's; their only home is packages/engine/src/release/keys.ts
REGISTRY_DEFAULT='ghcr.io/kg-operator'
ENGINE_MINIMUM=25.0.0 COMPOSE_MINIMUM=2.24.4 # as in operator.sh
TARGET_MB=500 TMP_MB=20 IMAGES_MB=2500 MEMORY_MB=900 MEMORY_GOOD_MB=1900 # images unpacked are 0.9 GB, an upgrade has them twice
NL=$(printf '\n.') && NL=${NL%.}
help_text() {
  cat <<END
Installs kg-operator: checks this host, downloads a release, verifies it, lays it out, starts it. Run again it repairs, or brings newer files.
Usage: curl -fsSL URL/install.sh | sh -s -- [FLAGS] [-- FLAGS OF ./operator.sh up]     or: sh install.sh [FLAGS]
  --dir DIR            where to (KG_INSTALL_DIR); else /opt/kg-operator for root, \$HOME/kg-operator for others
  --version VERSION    a certain release (KG_INSTALL_VERSION); else the newest of --channel NAME (KG_INSTALL_CHANNEL, stable)
  --from SOURCE        where releases come from: https://..., a directory, or a bundle for hosts without network (KG_RELEASES)
  --registry NAME      images from this registry and path instead, by the same digests (KG_INSTALL_REGISTRY)
  --set KEY=VALUE      a line of the first .operator.conf, such as WEB_PORT=3001; repeatable (KG_INSTALL_SET, separated by blanks)
  --config FILE        settings and configuration from one document, secrets by reference: docs/headless.md (KG_INSTALL_CONFIG)
  --restore FILE       start from a backup (KG_INSTALL_RESTORE); KG_RECOVERY_KEY or KG_BACKUP_PASSPHRASE opens it
  --no-start           only the files (KG_INSTALL_NO_START=1)
  --dry-run            check, download and verify; write nothing (KG_INSTALL_DRY_RUN=1)
  --yes                ask nothing (KG_INSTALL_YES=1); --json: one document on stdout (KG_INSTALL_JSON=1); --quiet
  --uninstall          remove containers and program files, keep the data and say where it is
    --volumes          destroy the data, too; the name of the installation is typed, or given: --confirm NAME
  --insecure-no-signature   where no program can check signatures: believe TLS and the checksums alone
Environment: KG_RELEASE_KEYS (file with public keys instead of the built-in ones), KG_CA_FILE or SSL_CERT_FILE (a CA of your own), https_proxy,
  http_proxy, no_proxy; KG_ADMIN_PASSWORD, KG_AI_PROVIDER, KG_AI_API_KEY, KG_EMBEDDING and others answer what ./operator.sh up would ask.
Needs Docker $ENGINE_MINIMUM with compose $COMPOSE_MINIMUM, curl or wget, tar, gzip; minisign, openssl 3 or node to check signatures.
Exit codes: 0 ok, 2 usage, 3 precondition or verification, 6 Docker, download or registry, others those of ./operator.sh up, 130/143 signals
END
}

say() { [ -n "$QUIET" ] || printf '%s\n' "$*" >&2; }
now() { date +%s; }
step() { # NAME: what comes next; how long each took is told at the end
  at=$(($(now) - BEGAN)) && STEPS="$STEPS${STEPS:+,}{\"name\":\"$(json_text "$1")\",\"at\":$at}" && say "[$at s] $1"
}
json_text() { printf '%s\n' "$1" | LC_ALL=C tr '\001-\011\013-\037' ' ' | sed -e 's/[\\"]/\\&/g' -e '$!s/$/\\n/' | tr -d '\n'; }
json_list() { # TEXT: its lines
  [ -z "$1" ] || printf '%s\n' "$1" | while IFS= read -r line; do printf '"%s"\n' "$(json_text "$line")"; done | tr '\n' ',' | sed 's/,$//'
}
fail() { # EXIT CODE MESSAGE [HINT] [DETAILS, a line each]
  printf 'install.sh: %s\n' "$3${5:+$NL$5}${4:+$NL  $4}" >&2
  if [ -n "$JSON" ]; then
    error="\"code\":\"$2\",\"message\":\"$(json_text "$3")\",\"hint\":\"$(json_text "${4-}")\",\"details\":[$(json_list "${5-}")]"
    printf '{"schemaVersion":1,"ok":false,"command":"install","error":{%s},"warnings":[%s]}\n' "$error" "$(json_list "$WARNINGS")"
  fi
  exit "$1"
}
answer() { # TEXT MEMBERS: the answer on stdout, for people or as data
  if [ -z "$JSON" ]; then printf '%s\n' "$1"; return; fi
  printf '{"schemaVersion":1,"ok":true,"command":"install","data":{%s},"warnings":[%s]}\n' "$2" "$(json_list "$WARNINGS")"
}
finding() { FINDINGS="$FINDINGS${FINDINGS:+$NL}$2: $3" FINDINGS_EXIT=${FINDINGS_EXIT:-$1}; } # EXIT CODE MESSAGE: all are told together
warning() { WARNINGS="$WARNINGS${WARNINGS:+$NL}$1: $2" && say "warning: $2"; } # CODE MESSAGE
has() { command -v "$1" >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n' "$1" "${2%%[-+]*}" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$1" ]; } # as numbers: 2.9.0 < 2.24.4
has_terminal() { (: </dev/tty) 2>/dev/null; }
ask() { has_terminal && printf '%s ' "$1" >/dev/tty && read -r reply </dev/tty && printf '%s\n' "$reply"; }

options() {
  DIR=${KG_INSTALL_DIR-} VERSION=${KG_INSTALL_VERSION-} CHANNEL=${KG_INSTALL_CHANNEL:-stable} REGISTRY=${KG_INSTALL_REGISTRY-}
  FROM=${KG_RELEASES:-$RELEASES_URL} RESTORE=${KG_INSTALL_RESTORE-} YES=${KG_INSTALL_YES-} NO_START=${KG_INSTALL_NO_START-}
  DRY_RUN=${KG_INSTALL_DRY_RUN-} JSON=${KG_INSTALL_JSON-} SETTINGS=${KG_INSTALL_SET-} UNINSTALL='' VOLUMES='' CONFIRM='' INSECURE='' QUIET=''
  CONFIG=${KG_INSTALL_CONFIG-}
  while [ $# -gt 0 ]; do
    case $1 in --*=*) value=${1#*=} name=${1%%=*} && shift && set -- "$name" "$value" "$@" ;; esac
    case $1 in --dir | --version | --channel | --registry | --from | --restore | --config | --set | --confirm)
      [ $# -gt 1 ] && [ -n "$2" ] || fail 2 USAGE "$1 wants a value" 'sh install.sh --help' ;; esac
    case $1 in
      --dir) DIR=$2 && shift ;; --version) VERSION=$2 && shift ;; --channel) CHANNEL=$2 && shift ;; --registry) REGISTRY=$2 && shift ;;
      --from) FROM=$2 && shift ;; --restore) RESTORE=$2 && shift ;; --set) SETTINGS="$SETTINGS $2" && shift ;; --confirm) CONFIRM=$2 && shift ;;
      --config) CONFIG=$2 && shift ;; --yes) YES=1 ;; --no-start) NO_START=1 ;; --dry-run) DRY_RUN=1 ;; --json) JSON=1 ;; --quiet) QUIET=1 ;;
      --uninstall) UNINSTALL=1 ;; --volumes) VOLUMES=1 ;; --insecure-no-signature) INSECURE=1 ;;
      --help | -h) help_text && exit 0 ;;
      --) return ;; # what follows goes to operator.sh: main takes it
      *) fail 2 USAGE "no such flag: $1" 'sh install.sh --help lists them' ;;
    esac
    shift
  done
}

# --- the host -------------------------------------------------------------------------------------------------------------------------------

check_system() {
  system=$(uname -s) machine=$(uname -m)
  case $system in Linux) ;; *) finding 3 OS_UNSUPPORTED "Linux is needed, this is $system: use a virtual machine" ;; esac
  case $machine in x86_64 | amd64 | aarch64 | arm64) ;; *)
    finding 3 ARCH_UNSUPPORTED "there are no images for $machine, only for x86_64 and arm64" ;; esac
  for tool in awk sed tar gzip sort tr cp mv; do has "$tool" || finding 3 TOOL_MISSING "$tool is not installed"; done
}
check_tools() { # what downloads, and what verifies
  DOWNLOADER='' VERIFIER=''
  if has curl; then DOWNLOADER=curl
  elif has wget; then case $(wget --version 2>&1 | head -n 1) in GNU*) DOWNLOADER=wget ;; *) DOWNLOADER=busybox ;; esac; fi
  case $DOWNLOADER$FROM in
    http*) finding 3 DOWNLOADER_MISSING 'neither curl nor wget is installed: install one (apt install curl, apk add curl, dnf install curl)' ;;
    busyboxhttps*) DOWNLOADER='' && finding 3 DOWNLOADER_UNSAFE "busybox's wget does not check certificates: install curl (apk add curl)" ;;
  esac
  if has sha256sum; then SHA256='sha256sum'; elif has shasum; then SHA256='shasum -a 256'; else SHA256='openssl dgst -sha256 -r'; fi
  [ -z "$INSECURE" ] || { warning SIGNATURE_SKIPPED 'signatures are not checked: --insecure-no-signature' && return; }
  if has minisign; then VERIFIER=minisign
  elif has_openssl_3; then VERIFIER=openssl
  elif has node; then VERIFIER=node
  else finding 3 SIGNATURE_TOOL_MISSING 'nothing here can check a signature: install minisign or openssl 3 (apk add minisign)'; fi
}
has_openssl_3() { # with BLAKE2b, which one in FIPS mode lacks; LibreSSL is none
  has openssl && at_least 3.0.0 "$(openssl version 2>/dev/null | sed -n 's/^OpenSSL \([0-9.]*\).*/\1/p')" &&
    openssl dgst -blake2b512 </dev/null >/dev/null 2>&1
}
read_keys() { # KEYS: the public keys that count, without the revoked
  KEYS=$RELEASE_KEYS revoked=''
  if [ -n "${KG_RELEASE_KEYS-}" ]; then
    if [ ! -r "$KG_RELEASE_KEYS" ]; then finding 3 RELEASE_KEYS_INVALID "KG_RELEASE_KEYS: $KG_RELEASE_KEYS can't be read" && return; fi
    KEYS=$(sed -n 's/^\(RW[A-Za-z0-9+/]*=*\)[[:space:]]*$/\1/p' "$KG_RELEASE_KEYS")
    revoked=$(sed -n 's/^revoked \([0-9A-F]\{16\}\)$/\1/p' "$KG_RELEASE_KEYS" | tr '\n' ' ')
  fi
  kept=''
  for key in $KEYS; do
    id=$(key_id "$key") && [ ${#id} -eq 16 ] || finding 3 RELEASE_KEYS_INVALID "$key is no public key, or there is no program base64"
    case " $revoked " in *" $id "*) ;; *) kept="$kept $key" ;; esac
  done
  KEYS=$kept
  [ -n "$KEYS" ] || [ -n "$INSECURE" ] || finding 3 RELEASE_KEYS_INVALID \
    'no public key to check releases by: this install.sh has none, so name a file with the publisher'\''s: KG_RELEASE_KEYS=FILE'
}
key_id() { # KEY: as minisign shows it; bytes 3 to 10, the last first
  printf '%s\n' "$1" | base64 -d 2>/dev/null | od -An -v -tx1 -j2 -N8 | awk '{ for (i = NF; i > 0; i--) printf "%s", toupper($i) }'
}
check_docker() { # DOCKER_ROOT: where it keeps images; '' where it does not answer
  DOCKER_ROOT=''
  if ! has docker; then finding 6 DOCKER_MISSING 'Docker is not installed: https://docs.docker.com/engine/install/' && return; fi
  case ${DOCKER_HOST-} in
    '' | unix:///var/run/docker.sock | unix:///run/docker.sock) ;;
    unix://*) warning DOCKER_SOCKET "DOCKER_HOST is $DOCKER_HOST, but the operator is given /var/run/docker.sock" ;;
    *) finding 6 DOCKER_REMOTE "DOCKER_HOST is $DOCKER_HOST, another machine: run this there" && return ;;
  esac
  case $(docker --version 2>/dev/null) in *[Pp]odman*)
    finding 6 DOCKER_PODMAN 'docker is Podman here, which is not supported: install Docker Engine' && return ;; esac
  if ! why=$(docker version --format '{{.Server.Version}}' 2>&1); then
    case $why in
      *ermission\ denied*)
        finding 6 DOCKER_PERMISSION "$(id -un) may not use Docker: sudo usermod -aG docker $(id -un), log in again; or run this as root" ;;
      *) finding 6 DOCKER_DOWN "Docker does not answer: start it (systemctl start docker). $why" ;;
    esac
    return
  fi
  case $why in [0-9]*) at_least "$ENGINE_MINIMUM" "$why" ||
    finding 6 DOCKER_OLD "Docker Engine must be $ENGINE_MINIMUM or newer; found: $why" ;; esac
  found=$(docker compose version --short 2>/dev/null) || found=none
  at_least "$COMPOSE_MINIMUM" "${found#v}" || finding 6 COMPOSE_OLD "the docker compose plugin must be $COMPOSE_MINIMUM or newer; found: $found"
  info=$(docker info --format \
    '{{.Driver}}|{{.DockerRootDir}}|{{.OSType}}|{{.MemTotal}}|{{.SecurityOptions}}|{{.HTTPProxy}}{{.HTTPSProxy}}' 2>/dev/null) || info='|||||'
  IFS='|' read -r driver DOCKER_ROOT os memory security proxy <<END
$info
END
  case $memory in '' | *[!0-9]*) memory=$MEMORY_GOOD_MB ;; *) memory=$((memory / 1000000)) ;; esac
  if [ "$memory" -lt "$MEMORY_MB" ]; then finding 3 MEMORY "$memory MB of memory; $MEMORY_MB MB are the least, 2 GB are good"
  elif [ "$memory" -lt "$MEMORY_GOOD_MB" ]; then warning MEMORY_SMALL "$memory MB of memory will do for a small graph; 2 GB are good"; fi
  case $os in '' | linux) ;; *) finding 6 DOCKER_WINDOWS "Docker runs $os containers here: switch it to Linux containers" ;; esac
  case $security in *rootless*)
    finding 6 DOCKER_ROOTLESS 'Docker runs rootless: the operator needs the socket /var/run/docker.sock of a Docker that runs as root' ;; esac
  case $(command -v docker)$DOCKER_ROOT in */snap/*) case $DIR in "${HOME-}"/*) ;; *)
    finding 6 DOCKER_SNAP "Docker from snap sees only files beneath ${HOME-}: --dir there, or Docker's own packages" ;; esac ;; esac
  case $driver in vfs | devicemapper | aufs)
    warning STORAGE_DRIVER "Docker's storage driver is $driver, which is slow and wasteful; overlay2 is the usual one" ;; esac
  if [ -n "${https_proxy-}${HTTPS_PROXY-}${http_proxy-}" ] && [ -z "$proxy" ]; then
    warning PROXY_DOCKER 'a proxy is in the environment, but Docker, which pulls images, knows none: docs.docker.com/engine/daemon/proxy'
  fi
}
free_mb() { df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }'; }
free_inodes() { df -Pi "$1" 2>/dev/null | awk 'NR == 2 && $4 ~ /^[0-9]+$/ && $2 > 0 { print $4 }'; }
check_room() {
  parent=$DIR
  while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
  free=$(free_mb "$parent") inodes=$(free_inodes "$parent")
  [ "${free:-$TARGET_MB}" -ge "$TARGET_MB" ] ||
    finding 3 DISK_SPACE "$parent has $free MB free; $TARGET_MB MB are the least, and backups want more"
  free=$(free_mb "${TMPDIR:-/tmp}")
  [ "${free:-$TMP_MB}" -ge "$TMP_MB" ] || finding 3 DISK_SPACE_TMP "${TMPDIR:-/tmp} has $free MB free; $TMP_MB MB are the least: set TMPDIR"
  [ "${inodes:-9999}" -ge 1000 ] || finding 3 INODES "$parent has $inodes free inodes; 1000 are the least"
  [ -n "$DOCKER_ROOT" ] && [ -d "$DOCKER_ROOT" ] || return 0
  free=$(free_mb "$DOCKER_ROOT") inodes=$(free_inodes "$DOCKER_ROOT")
  [ "${free:-$IMAGES_MB}" -ge "$IMAGES_MB" ] ||
    finding 3 DISK_SPACE_IMAGES "$DOCKER_ROOT, where Docker keeps images, has $free MB free; $IMAGES_MB MB are the least"
  [ "${inodes:-999999}" -ge 50000 ] ||
    finding 3 INODES_IMAGES "$DOCKER_ROOT, where Docker keeps images, has $inodes free inodes; 50000 are the least"
}
setting() { # KEY DEFAULT: what it is, or will be
  value=$(sed -n "s/^$1=//p" "$DIR/.operator.conf" 2>/dev/null) || value=''
  if [ ! -e "$DIR/.operator.conf" ]; then for pair in $SETTINGS; do case $pair in "$1"=*) value=${pair#*=} ;; esac; done; fi
  printf '%s\n' "${value:-$2}"
}
check_port() { # SETTING DEFAULT
  port=$(setting "$1" "$2") bind=$(setting BIND_ADDRESS 127.0.0.1)
  case $port in *[!0-9]* | ?????? | ??????*) finding 3 SETTING_INVALID "$1=$port is no port" && return ;; esac
  cat "/proc/net/tcp" "/proc/net/tcp6" 2>/dev/null | awk -v port="$port" -v bind="$bind" '
    BEGIN { split(bind, b, "."); want = sprintf("%02X%02X%02X%02X", b[4], b[3], b[2], b[1]); port = sprintf(":%04X$", port) }
    $4 == "0A" && sub(port, "", $2) && ($2 ~ /^0+$/ || want == "00000000" || $2 ~ want "$") { taken = 1 }
    END { exit !taken }' || return 0
  holder=$(docker ps --filter "publish=$port" --format '{{.Label "com.docker.compose.project"}} container {{.Names}}' 2>/dev/null) || holder=''
  [ "${holder%% *}" != "$PREFIX" ] || return 0
  [ -n "$holder" ] || holder=$(lsof -nP -iTCP:"$port" -sTCP:LISTEN 2>/dev/null | awk 'NR == 2 { print " " $1 ", process " $2 }') || holder=''
  [ -n "$holder" ] ||
    holder=$(ss -Hltnp "sport = :$port" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/ \1, process \2/p') || holder=''
  finding 3 PORT_TAKEN "port $port is in use${holder:+ by ${holder#* }}: free it, or take another one: --set $1=PORT"
}
check_plain_http() { # of settings given here; operator.sh judges those that are there
  case $(setting TLS_MODE off)$(setting ALLOW_PLAIN_HTTP false):$(setting BIND_ADDRESS 127.0.0.1) in *:127.*) ;; offfalse:*)
    [ -e "$DIR/.operator.conf" ] || finding 3 PLAIN_HTTP "BIND_ADDRESS=$(setting BIND_ADDRESS '') without TLS lets passwords cross the network \
in the clear: --set TLS_MODE=internal --set PUBLIC_HOST=NAME (docs/tls.md), or --set ALLOW_PLAIN_HTTP=true" ;; esac
}
public_url() { # as ./operator.sh up says it
  url=http://$(setting BIND_ADDRESS 127.0.0.1):$(setting WEB_PORT 3000)
  [ "$(setting TLS_MODE off)" = off ] || url=https://$(setting PUBLIC_HOST ''):$(setting WEB_PORT 3000)
  case $url in http://0.0.0.0:*) url=http://127.0.0.1:${url##*:} ;; https://*:443) url=${url%:443} ;; esac
  printf '%s\n' "$url"
}
check_target() { # EXISTING: fresh (no such directory), files (a directory without the program), or installation
  case $DIR in *[:,]* | *"$NL"*) finding 3 TARGET_NAME "colon, comma or newline in $DIR: Compose separates paths by them" ;; esac
  EXISTING=fresh INSTALLED='' PREFIX=$(setting CONTAINER_PREFIX kg)
  parent=$DIR
  while [ ! -e "$parent" ] && [ ! -L "$parent" ]; do parent=$(dirname "$parent"); done
  if [ ! -d "$parent" ]; then finding 3 TARGET_INVALID "$parent is no directory" && return; fi
  if ! { [ -w "$parent" ] && [ -x "$parent" ]; }; then
    if [ "$(id -u)" = 0 ]; then why='it is mounted read-only: take another --dir'; else why='take another --dir, or run this as root'; fi
    finding 3 TARGET_READ_ONLY "$(id -un) can't write in $parent: $why"
  fi
  [ "$parent" = "$DIR" ] || return 0
  EXISTING=files
  if [ -f "$DIR/docker/docker-compose.yml" ]; then
    finding 3 TARGET_REPOSITORY "$DIR is a checkout of the repository: ./operator.sh up there" && return; fi
  if grep -q '^KG_VERSION=' "$DIR/operator.sh" 2>/dev/null; then
    EXISTING=installation INSTALLED=$(sed -n 's/^RELEASE_VERSION=//p' "$DIR/.operator/release.env" 2>/dev/null) || INSTALLED=''
    [ -n "$INSTALLED" ] || INSTALLED=$(sed -n 's/^KG_VERSION=//p' "$DIR/operator.sh")
  elif [ -e "$DIR/.operator/release.env" ]; then # removed, with its data kept
    INSTALLED=$(sed -n 's/^RELEASE_VERSION=//p' "$DIR/.operator/release.env")
  else
    for file in operator.sh docker-compose.yml docker-compose.ghcr.yml docker-compose.tls.yml garage/garage.toml; do
      [ ! -e "$DIR/$file" ] || [ -e "$DIR/.operator/next-files" ] ||
        finding 3 TARGET_FOREIGN "$DIR has a $file that is not kg-operator's: take another --dir"
    done
  fi
  [ -z "$INSTALLED" ] || say "In $DIR: kg-operator $INSTALLED"
}
check_volumes() {
  [ ! -e "$DIR/.env" ] || return 0
  volumes=$(docker volume ls -q --filter "label=com.docker.compose.project=$PREFIX" 2>/dev/null | tr '\n' ' ') || volumes=''
  [ -z "$volumes" ] || finding 3 DATA_WITHOUT_ENV "there is data of an installation $PREFIX ($volumes), but not the .env that opens it in $DIR: \
name the --dir where it is, or another installation: --set CONTAINER_PREFIX=NAME"
}
check_network() { # the source and the registry answer, and this host's clock agrees with theirs
  case $FROM in http*://*) probe "${FROM%/}/channels.json" SOURCE_UNREACHABLE 'the releases' ;; esac
  [ -z "$BUNDLE" ] || return 0
  registry=${REGISTRY:-$(setting IMAGE_REGISTRY "$REGISTRY_DEFAULT")} && host=${registry%%/*}
  case $host in localhost* | 127.0.0.1*) ;; *) probe "https://$host/v2/" REGISTRY_UNREACHABLE 'the images' ;; esac
}
probe() { # URL CODE WHAT: any answer will do
  [ -n "$DOWNLOADER" ] || return 0
  : >"$WORK/headers"
  if ! request "$1" /dev/null any; then finding 6 "$2" "$3 come from $1, which does not answer: $WHY" && return; fi
  date=$(tr -d '\r' <"$WORK/headers" | sed -n 's/^ *[Dd][Aa][Tt][Ee]: *//p' | tail -n 1)
  case $date in ???,\ [0-3][0-9]\ ???\ [0-9][0-9][0-9][0-9]\ ??:??:??\ GMT) ;; *) return 0 ;; esac
  off=$(($(now) - $(epoch "$date")))
  case $off in -*) ahead=behind off=${off#-} ;; *) ahead='ahead of' ;; esac
  if [ "$off" -gt 86400 ]; then finding 3 CLOCK_WRONG "this host's clock is $off seconds $ahead that of $1: set it (timedatectl set-ntp true)"
  elif [ "$off" -gt 300 ]; then warning CLOCK_OFF "this host's clock is $off seconds $ahead that of $1"; fi
}
epoch() { # "Mon, 23 Nov 2026 16:00:00 GMT": seconds since 1970 (days by https://howardhinnant.github.io/date_algorithms.html)
  printf '%s\n' "$1" | awk '{
    split($5, t, ":"); y = $4; m = (index("JanFebMarAprMayJunJulAugSepOctNovDec", $3) + 2) / 3
    if (m <= 2) { y--; m += 12 }
    days = 365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * (m - 3) + 2) / 5) + $2 - 1 - 719468
    printf "%d\n", (days * 24 + t[1]) * 3600 + t[2] * 60 + t[3] }'
}

# --- downloading and verifying --------------------------------------------------------------------------------------------------------------

# URL FILE [any]: only HTTPS, with curl after a redirect, too; plain HTTP for this very host. WHY: what went wrong. "any": errors of HTTP
# are answers.
request() {
  case $1 in
    https://*) protocol='=https' ;;
    http://127.0.0.1[:/]* | http://localhost[:/]* | http://\[::1\][:/]*) protocol='=http' ;;
    *) fail 2 SOURCE_INVALID "$1: only https:// (http:// for this host itself)" ;;
  esac
  code=0
  case $DOWNLOADER in
    curl)
      set -- "$1" "$2" "${3-}" -sS -L --proto "$protocol" --proto-redir "$protocol" --tlsv1.2
      set -- "$@" --connect-timeout 15 --max-time 600 --retry 2 -D "$WORK/headers"
      [ -n "$3" ] || set -- "$@" -f
      [ -z "${KG_CA_FILE-}" ] || set -- "$@" --cacert "$KG_CA_FILE"
      [ "$protocol" = '=https' ] || set -- "$@" --noproxy '*'
      url=$1 file=$2 && shift 3 && curl "$@" -o "$file" "$url" 2>"$WORK/why" || code=$? ;;
    wget)
      set -- "$1" "$2" "${3-}" -nv -S -T 15 -t 2 --max-redirect=5 --secure-protocol=TLSv1_2
      ca=${KG_CA_FILE:-${SSL_CERT_FILE-}} && [ -z "$ca" ] || set -- "$@" "--ca-certificate=$ca"
      [ "$protocol" = '=https' ] || set -- "$@" --no-proxy
      url=$1 file=$2 any=$3 && shift 3 && wget "$@" -O "$file" "$url" 2>"$WORK/why" || code=$?
      cp "$WORK/why" "$WORK/headers"; if [ "$code" = 8 ] && [ -n "$any" ]; then code=0; fi ;;
    *) wget -q -O "$2" "$1" 2>"$WORK/why" || code=$? # busybox's: -T and -S crash in 1.35
      if [ -n "${3-}" ] && grep -q 'HTTP/1' "$WORK/why"; then code=0; fi ;;
  esac
  WHY=$(grep -v '^ ' "$WORK/why" | tail -n 1)
  case $DOWNLOADER$code:$WHY in
    curl6:* | wget4:*resolve*) WHY="the name is not found, or not reachable over the kind of network (IPv4, IPv6) this host has. $WHY" ;;
    curl60:* | curl77:* | wget5:*) WHY="its certificate is not trusted here; a CA of your own: KG_CA_FILE=FILE. $WHY" ;;
  esac
  proxy=${https_proxy:-${HTTPS_PROXY-}}
  case $DOWNLOADER$code:$proxy:$WHY in curl7::* | wget4::*) host=${url#*://} && host=${host%%/*}
    if has getent && [ -z "$(getent ahostsv4 "${host%:*}")" ] && [ -n "$(getent ahosts "${host%:*}")" ]; then
      WHY="the name has IPv6 addresses only, and this host can't reach them. $WHY"; fi ;;
  esac
  case $protocol$proxy in =https?*) WHY="$WHY (through the proxy ${proxy##*@})" ;; esac
  return "$code"
}
get() { # NAME LIMIT: a file of the source, to $WORK/files/NAME; nothing is trusted yet
  mkdir -p "$(dirname "$WORK/files/$1")" && hint='nothing was written; is that where releases are published?'
  case $FROM in
    http*://*) request "${FROM%/}/$1" "$WORK/files/$1" || fail 6 SOURCE_UNREACHABLE "${FROM%/}/$1: $WHY" "$hint" ;;
    *) if [ -n "$BUNDLE" ]; then tar -xOf "$FROM" "$1" >"$WORK/files/$1" 2>"$WORK/why"; else cp "$FROM/$1" "$WORK/files/$1" 2>"$WORK/why"; fi ||
        fail 3 SOURCE_FILE_MISSING "there is no $1 in $FROM" "$hint" "$(tail -n 1 "$WORK/why")" ;;
  esac
  size=$(wc -c <"$WORK/files/$1")
  [ "$size" -le "$2" ] || fail 3 SOURCE_FILE_TOO_LARGE "$1 has $size bytes; no such file is larger than $2" 'nothing was written'
}
get_signed() { # NAME LIMIT
  get "$1" "$2"
  [ -z "$INSECURE" ] || return 0
  get "$1.minisig" 16384
  signatures=$(wc -l <"$WORK/files/$1.minisig") line=1
  while [ "$line" -le "$signatures" ]; do # several keys sign one after the other, four lines each
    sed -n "$line,$((line + 3))p" "$WORK/files/$1.minisig" >"$WORK/signature" && line=$((line + 4))
    for key in $KEYS; do if is_signed "$WORK/files/$1" "$key"; then return; fi; done
  done
  fail 3 SIGNATURE_INVALID "$1 is not signed by a key that this installer trusts" \
    'nothing was written: fetch it again from where it is published' \
    "file: $1${NL}expected: a signature by $(for key in $KEYS; do printf '%s ' "$(key_id "$key")"; done)${NL}got: $(signers "$1")"
}
signers() { # NAME: of the signatures of a file, as they say themselves
  sed -n 's/^untrusted comment: //p' "$WORK/files/$1.minisig" | LC_ALL=C tr -cd '\12\40-\176' | head -n 3 | tr '\n' ' '
}
is_signed() { # FILE KEY: $WORK/signature is of the prehashed kind (base64 of "ED"), by this key, for this file and its own comment
  case $(sed -n 2p "$WORK/signature") in RU[QRST]*) ;; *) return 1 ;; esac
  case $VERIFIER in
    minisign) minisign -V -q -m "$1" -x "$WORK/signature" -P "$2" >/dev/null 2>&1 ;;
    node) node -e '
      const { createHash, createPublicKey, verify } = require("crypto"), { readFileSync } = require("fs")
      const [, file, signature, publicKey] = process.argv, raw = Buffer.from(publicKey, "base64")
      const [, one, comment, two] = readFileSync(signature, "latin1").split("\n"), sig = Buffer.from(one, "base64")
      const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw.subarray(10)])
      const key = createPublicKey({ key: der, format: "der", type: "spki" }), hash = createHash("blake2b512").update(readFileSync(file)).digest()
      const all = Buffer.concat([sig.subarray(10), Buffer.from(comment.slice("trusted comment: ".length), "latin1")])
      const isRight = sig.length === 74 && raw.subarray(2, 10).equals(sig.subarray(2, 10)) && comment.startsWith("trusted comment: ")
      process.exit(isRight && verify(null, hash, key, sig.subarray(10)) && verify(null, all, key, Buffer.from(two, "base64")) ? 0 : 1)
      ' "$1" "$WORK/signature" "$2" >/dev/null 2>&1 ;;
    openssl) is_signed_for_openssl "$1" "$2" ;;
    *) return 1 ;;
  esac
}
# FILE KEY: the 12 bytes before a key (RFC 8410) are 16 characters of base64; in minisign's files 10 bytes come before key and signature
is_signed_for_openssl() {
  sed -n 2p "$WORK/signature" | openssl base64 -d -A >"$WORK/one" && printf '%s\n' "$2" | openssl base64 -d -A >"$WORK/key" || return 1
  [ "$(wc -c <"$WORK/one")" -eq 74 ] && [ "$(wc -c <"$WORK/key")" -eq 42 ] || return 1
  [ "$(od -An -tx1 -j2 -N8 "$WORK/one")" = "$(od -An -tx1 -j2 -N8 "$WORK/key")" ] || return 1
  { echo '-----BEGIN PUBLIC KEY-----' && printf MCowBQYDK2VwAyEA && tail -c 32 "$WORK/key" | openssl base64 -A &&
    printf '\n-----END PUBLIC KEY-----\n'; } >"$WORK/pem" || return 1
  tail -c 64 "$WORK/one" >"$WORK/sig" && openssl dgst -blake2b512 -binary "$1" >"$WORK/hash" || return 1
  is_made_by_openssl_key "$WORK/hash" "$WORK/sig" || return 1
  sed -n 4p "$WORK/signature" | openssl base64 -d -A >"$WORK/global" || return 1
  { cat "$WORK/sig" && sed -n '3s/^trusted comment: //p' "$WORK/signature" | tr -d '\n'; } >"$WORK/all" || return 1
  is_made_by_openssl_key "$WORK/all" "$WORK/global"
}
is_made_by_openssl_key() { openssl pkeyutl -verify -rawin -pubin -inkey "$WORK/pem" -in "$1" -sigfile "$2" >/dev/null 2>&1; } # FILE SIGNATURE
sum_of() { $SHA256 "$1" | sed 's/[^0-9a-f].*//'; }
require_sum() { # NAME EXPECTED WHERE
  got=$(sum_of "$WORK/files/$1")
  [ "$2" = "$got" ] ||
    fail 3 SUM_MISMATCH "$1 is not the one that $3 lists" 'nothing was written: fetch it again; a mirror may hold files of different days' \
    "file: $1${NL}expected: ${2:-none} (SHA-256)${NL}got: $got"
}
# "channel NAME", "versions", "sha256 VERSION", "withdrawn VERSION", or a member: of channels.json, verified before, as formatDocument writes it
listed() {
  awk -v what="$1" -v name="${2-}" '
    function value() { v = $0; sub(/^[^:]*: "?/, "", v); sub(/"?,?\r?$/, "", v); return v }
    /^  "/ { section = $1; gsub(/[":]/, "", section); if (section == what) print value() }
    what == "channel" && section == "channels" && $1 == "\"" name "\":" { print value() }
    /^ +"version":/ { version = value(); if (what == "versions" && section == "releases") print version
      if (what == "withdrawn" && section == "yanked" && version == name) gone = 1 }
    what == "sha256" && section == "releases" && version == name && $1 == "\"sha256\":" { print value() }
    gone && $1 == "\"reason\":" { print value(); gone = 0 }' "$WORK/files/channels.json"
}
choose_version() {
  get_signed channels.json 1048576
  expires=$(listed expiresAt)
  case $(printf '%s\n' "$expires" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" | sort | head -n 1) in
    "$expires")
      fail 3 CHANNEL_EXPIRED "the list of releases was good until $expires; this host's clock says $(date -u)" \
        'fetch a newer one, or set the clock' ;; esac
  # What the engine keeps of the last list has it as a text within JSON.
  last=$(sed -n 's/.*[\\]"counter[\\]": \([0-9]*\),.*/\1/p' "$DIR/.operator/releases/last-channels.json" 2>/dev/null | head -n 1) || last=''
  [ "${last:-0}" -le "$(listed counter)" ] ||
    fail 3 CHANNEL_REPLAYED "the list of releases has number $(listed counter), one with $last was seen here before" 'fetch a newer one'
  [ -n "$VERSION" ] || VERSION=$(listed channel "$CHANNEL")
  [ -n "$VERSION" ] || fail 2 CHANNEL_UNKNOWN "there is no channel $CHANNEL in $FROM"
  listed versions | grep -Fqx -e "$VERSION" ||
    fail 3 VERSION_UNKNOWN "there is no release $VERSION in $FROM" "there are: $(listed versions | tr '\n' ' ')"
  case $VERSION in *[!0-9A-Za-z.+-]* | [!0-9]*) fail 3 VERSION_UNKNOWN "$VERSION is no version" ;; esac
  gone=$(listed withdrawn "$VERSION")
  [ -z "$gone" ] || fail 3 VERSION_YANKED "$VERSION was withdrawn: $gone" 'take another one: --version'
  [ -z "$INSTALLED" ] || at_least "${INSTALLED%%[-+]*}" "$VERSION" ||
    fail 3 DOWNGRADE "$INSTALLED is installed in $DIR, $VERSION is older" "$DIR/operator.sh rollback goes back"
}
get_release() {
  get_signed "$VERSION/SHA256SUMS" 16384
  for name in release.json "kg-$VERSION.tar.gz"; do
    get "$VERSION/$name" 67108864
    require_sum "$VERSION/$name" "$(awk -v name="$name" '$2 == name { print $1 }' "$WORK/files/$VERSION/SHA256SUMS")" SHA256SUMS
  done
  require_sum "$VERSION/release.json" "$(listed sha256 "$VERSION")" channels.json
  archive=$WORK/files/$VERSION/kg-$VERSION.tar.gz
  tar -tzf "$archive" >"$WORK/names" 2>"$WORK/why" || fail 3 ARCHIVE_INVALID "kg-$VERSION.tar.gz can't be read" '' "$(cat "$WORK/why")"
  if grep -Ev "^kg-[^/]*/[A-Za-z0-9._/-]+$" "$WORK/names" >&2 || grep -F .. "$WORK/names" >&2; then
    fail 3 ARCHIVE_INVALID "kg-$VERSION.tar.gz has other names than a release"
  fi
  (umask 022 && tar -xzf "$archive" -C "$WORK") || fail 3 NOT_WRITTEN "kg-$VERSION.tar.gz could not be unpacked in $WORK"
  NEW=$WORK/kg-$VERSION && chmod 755 "$NEW/operator.sh"
  use_registry
}
use_registry() { # instead of the one that the release names
  [ -n "$REGISTRY" ] && [ -z "$BUNDLE" ] || return 0
  sed "s|^\(IMAGE_[A-Z_]*=\).*/\([^/]*@sha256:\)|\1$REGISTRY/\2|" "$NEW/.operator/release.env" >"$WORK/pins"
  mv "$WORK/pins" "$NEW/.operator/release.env"
}

# --- the document ---------------------------------------------------------------------------------------------------------------------------

read_config() { # FLAGS of up: the engine of the release checks it, and its host section goes into SETTINGS; what --set says counts
  step "Reading $CONFIG"
  [ -z "$BUNDLE" ] || load_images
  image=$(sed -n 's/^IMAGE_OPERATOR=//p' "$NEW/.operator/release.env")
  docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image" >/dev/null 2>"$WORK/why" ||
    fail 6 IMAGE_NOT_PULLED "$image, which reads $CONFIG, can't be pulled: $(tail -n 1 "$WORK/why")" 'nothing was written'
  names=$(awk 'BEGIN { for (name in ENVIRON) if (name ~ /^KG_[A-Z0-9_]+$/) print name }')
  while [ $# -gt 0 ]; do
    case $1 in --from-env=*) names="$names ${1#*=}" ;; --from-env) names="$names ${2-}" ;; esac
    shift
  done
  [ ! -d "$DIR" ] || set -- --mount "type=bind,source=$DIR,target=$DIR,readonly"
  for name in $names; do case $name in *[!A-Za-z0-9_]*) ;; *) set -- "$@" -e "$name" ;; esac; done
  set -- --rm -i --network none --read-only --tmpfs /tmp --cap-drop ALL --cap-add DAC_OVERRIDE "$@" -e "KG_ROOT=$DIR" \
    "$image" kg-operator config host - --name "$CONFIG"
  [ -e "$DIR/.env" ] || set -- "$@" --secrets # afterwards those that are stored stay where they are not found
  code=0 && lines=$(docker run "$@" <"$CONFIG" 2>"$WORK/why") || code=$?
  case $code in 12[567]) fail 6 ENGINE_NOT_RUN "docker could not run $image: $(tail -n 1 "$WORK/why")" 'nothing was written' ;; esac
  [ "$code" = 0 ] || fail "$code" CONFIG_INVALID "$(sed -n '1s/^Error: //p' "$WORK/why")" "$(sed -n 's/^Next: //p' "$WORK/why")" \
    "$(sed -e '1{/^Error: /d;}' -e '/^Next: /d' -e 's/^  //' "$WORK/why")"
  for line in $lines; do
    case " $SETTINGS ${REGISTRY:+IMAGE_REGISTRY=}" in *" ${line%%=*}="*) continue ;; esac
    SETTINGS="$line $SETTINGS"
    case $line in IMAGE_REGISTRY=?*) REGISTRY=${line#*=} && use_registry ;; esac
  done
}

# --- placing --------------------------------------------------------------------------------------------------------------------------------

durable() { sync "$1" 2>/dev/null || sync; }
not_written() {
  fail 3 NOT_WRITTEN "$DIR does not take the files: $(tail -n 1 "$WORK/why")" \
    'what was there before is as it was; make room or rights, then again'
}
place() {
  # Which images run is for upgrade to change.
  if [ -e "$DIR/.env" ] || [ -e "$DIR/.operator/release.env" ]; then rm -f "$NEW/.operator/release.env"; fi
  if [ -e "$DIR/.operator.conf" ]; then
    for pair in $SETTINGS; do
      is=$(grep -e "^${pair%%=*}=" "$DIR/.operator.conf") || is="no ${pair%%=*}"
      [ "$is" = "$pair" ] || warning SETTINGS_KEPT "$DIR/.operator.conf has $is, and stays as it is: $pair was not used"
    done
  elif [ -n "$SETTINGS$REGISTRY" ]; then
    echo '# The settings of this installation; .operator.conf.example explains each.' >"$NEW/.operator.conf"
    case " $SETTINGS" in *' IMAGE_REGISTRY='*) REGISTRY='' ;; esac
    printf '%s\n' $SETTINGS ${REGISTRY:+"IMAGE_REGISTRY=$REGISTRY"} >>"$NEW/.operator.conf"
  fi
  [ ! -d "$NEW/.operator" ] || chmod 700 "$NEW/.operator"
  if [ "$EXISTING" = fresh ]; then place_directory; else place_files; fi
  [ -f "$DIR/operator.sh" ] && [ ! -d "$DIR/.operator/next-files" ] || fail 3 NOT_WRITTEN "$DIR is not whole" 'run this again'
}
place_directory() { # one rename
  parent=$(dirname "$DIR") && rm -rf "$parent/.${DIR##*/}.installing."* && STAGE=$parent/.${DIR##*/}.installing.$$
  { mkdir -p "$parent" && cp -R "$NEW" "$STAGE" && durable "$STAGE"; } 2>"$WORK/why" || not_written
  [ ! -e "$DIR" ] || fail 3 NOT_WRITTEN "$DIR appeared meanwhile" 'run this again'
  mv "$STAGE" "$DIR" 2>"$WORK/why" || not_written
  STAGE='' && durable "$parent"
}
place_files() { # all of them beside the old ones; a rename commits, and finish_files, here or in the next ./operator.sh, puts each in its place
  state=$DIR/.operator && next=$state/next-files && previous=$state/previous-files
  finish_files
  { (umask 077 && mkdir -p "$state") && rm -rf "$state"/next-files.tmp.* "$state"/previous-files.tmp.*; } 2>"$WORK/why" || not_written
  STAGE=$next.tmp.$$ kept=''
  (cd "$NEW" && find . -type f) >"$WORK/names"
  while IFS= read -r name; do
    if [ -f "$DIR/$name" ] && cmp -s "$NEW/$name" "$DIR/$name" && { [ "$name" != ./operator.sh ] || [ -x "$DIR/$name" ]; }; then continue; fi
    { mkdir -p "$STAGE/${name%/*}" && cp -p "$NEW/$name" "$STAGE/$name"; } 2>"$WORK/why" || not_written
    [ -e "$DIR/$name" ] || continue
    { mkdir -p "$previous.tmp.$$/${name%/*}" && cp -p "$DIR/$name" "$previous.tmp.$$/$name"; } 2>"$WORK/why" || not_written
    kept="$kept ${name#./}"
  done <"$WORK/names"
  if [ ! -d "$STAGE" ]; then say "The files in $DIR are those of $VERSION already" && return; fi
  [ "$(id -u)" != 0 ] || chown -R "$(ls -ndL "$DIR" | awk '{ print $3 ":" $4 }')" "$state"/*.tmp.$$ # root must not take it from who installed
  durable "$STAGE"
  [ -z "$kept" ] || { rm -rf "$previous" && mv "$previous.tmp.$$" "$previous"; } 2>"$WORK/why" || not_written
  mv "$STAGE" "$next" 2>"$WORK/why" || not_written
  finish_files; durable "$DIR"
  [ -z "$kept" ] || say "Kept in $previous:$kept"
}
finish_files() { # the twin in operator.sh does the same; operator.sh comes last: where it is, the rest is
  next=$DIR/.operator/next-files
  [ -d "$next" ] || return 0
  trap '' INT TERM HUP
  (cd "$next" && find . -type f ! -path ./operator.sh && echo ./operator.sh) | while IFS= read -r name; do
    [ ! -f "$next/$name" ] || { mkdir -p "$DIR/${name%/*}" && mv -f "$next/$name" "$DIR/$name"; } || :
  done
  left=$(find "$next" -type f)
  [ -z "$left" ] || fail 3 NOT_WRITTEN "not all files could be put in place: $left" 'make room or rights, then run this or ./operator.sh again'
  rm -rf "$next"; signals
}
digests_of() { # SERVICE: of its image, for all platforms, in release.json, as formatDocument writes it
  awk -v service="\"$1\":" '/^  "/ { images = $1 == "\"images\":" } /^    "/ { mine = images && $1 == service }
    mine && /"sha256:/ { sub(/^[^:]*: "/, ""); sub(/".*/, ""); print }' "$WORK/files/$VERSION/release.json"
}
load_images() { # of a bundle: Docker gives them ids made of their content, and only those count that the signed release names
  step 'Loading the images of the bundle'
  tar -xOf "$FROM" images.tar | docker load >&2 || fail 6 IMAGES_NOT_LOADED "docker could not load the images of $FROM"
  while IFS='=' read -r name image; do
    case $name in IMAGE_*) ;; *) printf '%s\n' "$name${image:+=$image}" >>"$WORK/pins" && continue ;; esac
    tag=${image%@*}:$VERSION && id=$(docker image inspect -f '{{.Id}}' "$tag" 2>/dev/null) || id=none
    digests=$(digests_of "$(printf '%s\n' "${name#IMAGE_}" | tr 'A-Z_' 'a-z-')")
    printf '%s\n' "$digests" | grep -Fqx -e "$id" || fail 3 IMAGE_MISMATCH "$tag of the bundle is not the image of the release" \
      'save the bundle with a Docker that keeps images as this one does (docker info: containerd or not)' \
      "expected: one of $(printf %s "$digests" | tr '\n' ' ')${NL}got: $id"
    printf '%s\n' "$name=$id" >>"$WORK/pins"
  done <"$NEW/.operator/release.env"
  mv "$WORK/pins" "$NEW/.operator/release.env"
}

start() { # FLAGS of up
  step 'Starting (./operator.sh up)'
  set -- up "$@"
  if [ -n "$RESTORE" ]; then
    case $RESTORE in "$DIR"/*) ;; *) # the operator sees nothing outside
      mkdir -p "$DIR/backups" && cp "$RESTORE" "$DIR/backups/" || fail 3 NOT_WRITTEN "$RESTORE can't be copied to $DIR/backups"
      RESTORE=$DIR/backups/${RESTORE##*/} ;;
    esac
    set -- "$@" --restore "$RESTORE"
  fi
  [ -z "$YES" ] || set -- "$@" --yes
  [ -z "$QUIET" ] || set -- "$@" --quiet
  [ -z "$CONFIG" ] || set -- "$@" --config -
  code=0 && cd "$DIR"
  if [ -n "$CONFIG" ]; then # through stdin, since the operator sees nothing outside; so there are no questions
    if [ -n "$JSON" ]; then ./operator.sh "$@" <"$CONFIG" >&2; else ./operator.sh "$@" <"$CONFIG"; fi || code=$?
  elif [ -z "$YES" ] && has_terminal; then
    if [ -n "$JSON" ]; then ./operator.sh "$@" </dev/tty >&2; else ./operator.sh "$@" </dev/tty; fi || code=$?
  elif [ -n "$JSON" ]; then ./operator.sh "$@" </dev/null >&2 || code=$?
  else ./operator.sh "$@" </dev/null || code=$?; fi
  [ "$code" = 0 ] ||
    fail "$code" START_FAILED "the files are in $DIR, but it did not start" \
      "mend what is said above, then: cd $DIR && ./operator.sh up$FROM_CONFIG"
  case $FROM in https://*) ./operator.sh versions --from "$FROM" </dev/null >/dev/null 2>&1 ||
    warning SOURCE_NOT_KEPT "the operator can't read $FROM; upgrades want: ./operator.sh upgrade --from SOURCE" ;; esac
}
uninstall() {
  [ "$EXISTING" = installation ] || fail 3 NO_INSTALLATION "there is no kg-operator in $DIR" '--dir DIR names another place'
  volumes=$(docker volume ls -q --filter "label=com.docker.compose.project=$PREFIX") ||
    fail 6 DOCKER_DOWN 'Docker does not answer; nothing was removed'
  set -- teardown --yes
  if [ -n "$VOLUMES" ]; then
    [ "${CONFIRM:-$(ask "This destroys all data of the installation. Type its name, $PREFIX, to go on:")}" = "$PREFIX" ] ||
      fail 2 USAGE "not confirmed: to destroy the data, type the name on a terminal or give --confirm $PREFIX" 'nothing was removed'
    set -- teardown --volumes --confirm "$PREFIX"
  else
    case ${YES:-$(ask "Remove containers and programs of $DIR? The data stays. [y/N]")} in
      [1yY]*) ;; *) fail 2 USAGE 'not confirmed: give --yes' 'nothing was removed' ;; esac
  fi
  finish_files
  if [ -f "$DIR/docker-compose.yml" ]; then
    (cd "$DIR" && ./operator.sh "$@" </dev/null >&2) || fail "$?" TEARDOWN_FAILED 'the containers could not be removed; the files stay'
  elif [ -n "$(docker ps -aq --filter "label=com.docker.compose.project=$PREFIX")" ]; then # not one that was cut off below
    fail 3 NO_INSTALLATION "$DIR/docker-compose.yml is missing, and there are containers of $PREFIX" 'install again first, which repairs'
  fi
  for file in docker-compose.yml docker-compose.ghcr.yml docker-compose.tls.yml garage/garage.toml .operator.conf.example LICENSE operator.sh; do
    rm -f "$DIR/$file" # in this order: as long as operator.sh is there, this can be done again
  done
  rm -rf "$DIR/.operator/previous-files"
  rmdir "$DIR/garage" 2>/dev/null || : # something of another's is in it
  [ -z "$VOLUMES" ] || rm -f "$DIR/.operator/release.env" # of no data any more
  rmdir "$DIR" 2>/dev/null || : # backups, settings or state are in it
  left=$(ls -A "$DIR" 2>/dev/null | tr '\n' ' ') || left=''
  if [ -n "$VOLUMES" ]; then text="kg-operator and its data are gone.${left:+ In $DIR: $left}"; volumes=''
  else text="kg-operator is removed; the data stays. Docker volumes: $(printf %s "$volumes" | tr '\n' ' '). In $DIR: $left
.env opens the data: keep it. To go on: install again in the same directory. To destroy it: install again, then --uninstall --volumes."; fi
  left=$(printf %s "$left" | tr ' ' '\n')
  answer "$text" "\"directory\":\"$(json_text "$DIR")\",\"volumes\":[$(json_list "$volumes")],\"files\":[$(json_list "$left")]"
}

signals() { trap 'exit 130' INT HUP && trap 'exit 143' TERM; }
refuse() { # what was found, if anything was
  [ -z "$FINDINGS" ] ||
    fail "$FINDINGS_EXIT" CHECKS_FAILED 'this host is not ready; nothing was written' 'mend what is listed, then run the same again' "$FINDINGS"
}
check_settings() {
  PREFIX=$(setting CONTAINER_PREFIX kg)
  check_port API_PORT 8000; check_port WEB_PORT 3000; check_plain_http; check_volumes
}
main() {
  QUIET='' JSON='' STEPS='' FINDINGS='' FINDINGS_EXIT='' WARNINGS='' STAGE='' BUNDLE='' WHY='' BEGAN=$(now)
  for argument; do [ "$argument" != -- ] || break; [ "$argument" != --json ] || JSON=1; done # so that errors of usage are told that way, too
  options "$@"
  while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
  [ $# = 0 ] || shift # the rest are flags of up
  if [ -z "$DIR" ]; then if [ "$(id -u)" = 0 ]; then DIR=/opt/kg-operator; else DIR=${HOME:?}/kg-operator; fi; fi
  case $DIR in /*) ;; *) DIR=$(pwd -P)/$DIR ;; esac
  while :; do case $DIR in ?*/) DIR=${DIR%/} ;; */.) DIR=${DIR%/.} ;; *) break ;; esac; done
  case $FROM in
    '') [ -n "$UNINSTALL" ] || fail 2 SOURCE_MISSING 'nobody said where releases come from' '--from https://..., a directory, or a bundle' ;;
    http*://*) ;;
    *://*) fail 2 SOURCE_INVALID "$FROM: only https://, a directory, or a bundle" ;;
    *) case $FROM in /*) ;; *) FROM=$(pwd -P)/$FROM ;; esac
      if [ -f "$FROM" ]; then BUNDLE=1; elif [ ! -d "$FROM" ]; then fail 3 SOURCE_UNREACHABLE "$FROM is neither a directory nor a bundle"; fi ;;
  esac
  for pair in $SETTINGS; do case $pair in [A-Z]*=*) ;; *) fail 2 USAGE "--set $pair: KEY=VALUE is wanted" ;; esac; done
  case $REGISTRY in *[!a-z0-9.:/_-]*) fail 2 USAGE "--registry $REGISTRY: a registry and path such as ghcr.io/someone is wanted" ;; esac
  [ -z "$RESTORE" ] || [ -r "$RESTORE" ] || fail 2 USAGE "--restore: $RESTORE can't be read"
  FROM_CONFIG=''
  if [ -n "$CONFIG" ]; then
    [ -f "$CONFIG" ] && [ -r "$CONFIG" ] || fail 2 USAGE "--config: $CONFIG can't be read"
    [ -z "$RESTORE" ] || fail 2 USAGE '--config and --restore exclude each other: a backup has its own configuration'
    case $CONFIG in /*) ;; *) CONFIG=$(pwd -P)/$CONFIG ;; esac
    FROM_CONFIG=" --yes --config - <$CONFIG"
  fi
  WORK=${TMPDIR:-/tmp}/kg-install.$$.$(od -An -tx4 -N4 /dev/urandom | tr -d ' ')
  trap 'rm -rf ${WORK:+"$WORK"} ${STAGE:+"$STAGE"}' EXIT && signals
  if ! (umask 077 && mkdir "$WORK"); then # it may be somebody's
    work=$WORK WORK='' && fail 3 NOT_WRITTEN "$work can't be made: set TMPDIR to a directory that can be written"
  fi
  if [ -n "$UNINSTALL" ]; then check_target; uninstall; return; fi

  step 'Checking this host'
  check_system; check_target; check_tools; read_keys; check_docker; check_room; check_network
  [ -n "$CONFIG" ] || check_settings # otherwise known later
  refuse
  step 'Downloading and verifying'
  choose_version
  get_release
  say "Verified: kg-operator $VERSION from $FROM${VERIFIER:+, signature checked with $VERIFIER}"
  [ -z "$CONFIG" ] || { read_config "$@"; check_settings; refuse; }
  data="\"version\":\"$VERSION\",\"directory\":\"$(json_text "$DIR")\",\"source\":\"$(json_text "$FROM")\",\"installed\":\"$INSTALLED\""
  if [ -n "$DRY_RUN" ]; then answer "Would install kg-operator $VERSION in $DIR; nothing was written" "$data,\"dryRun\":true"; return; fi
  if [ -z "$YES" ]; then
    case $(ask "Install kg-operator $VERSION in $DIR? [Y/n]" || echo none) in
      '' | [yY]*) ;; none)
        fail 2 USAGE 'there is no terminal to ask on: give --yes' ;; *) fail 2 USAGE 'not confirmed; nothing was written' ;; esac
  fi
  [ -z "$BUNDLE" ] || [ -n "$CONFIG" ] || load_images
  step "Installing in $DIR"
  place
  url=$(public_url)
  is_older='' && [ -z "$INSTALLED" ] || [ "$INSTALLED" = "$VERSION" ] || is_older=1
  running=$(docker container inspect -f '{{.State.Running}}' "$PREFIX-operator" 2>/dev/null) || running=''
  if [ -n "$NO_START" ]; then todo="cd $DIR && ./operator.sh up$FROM_CONFIG"; url=''
  elif [ -n "$is_older" ] && [ "$running" = true ]; then
    todo='' && [ -z "$CONFIG" ] || warning CONFIG_NOT_USED "$CONFIG was not imported: ./operator.sh config import - <$CONFIG"
  else todo='' && start "$@"; fi
  [ -z "$is_older" ] || todo="cd $DIR && ./operator.sh upgrade --to $VERSION"
  seconds=$(($(now) - BEGAN))
  if [ -n "$is_older" ]; then text="The files of $VERSION are in $DIR; $INSTALLED runs on. Next: $todo"
  elif [ -n "$NO_START" ]; then text="kg-operator $VERSION is in $DIR. Next: $todo"
  else text="kg-operator $VERSION runs: $url"; fi
  answer "$text ($seconds s)" "$data,\"url\":\"$url\",\"next\":\"$(json_text "$todo")\",\"seconds\":$seconds,\"steps\":[$STEPS]"
}
main "$@"; exit $?; }
