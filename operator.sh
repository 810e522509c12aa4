#!/bin/sh
# The host side of kg-operator: settings, secrets, Compose's environment; the engine in the container `operator` does the rest. #| is the help.
#| kg-operator: a knowledge-graph platform from an empty Docker host to a login page, and on from there.
#| Usage: ./operator.sh COMMAND [FLAGS]    Flags everywhere: --json --yes --no-input --quiet --help
#|   up [--dev]             everything: secrets, images, infrastructure, schema, configuration (--restore FILE: from a backup), application
#|   init [--dev]           layer 1: write .env (secrets, once) and a first .operator.conf
#|   migrate                layer 2: apply schema migrations
#|   config TOPIC         layer 3: admin claim ai-provider embedding api-key garage set get unset show validate history undo import export
#|   start [--infra-only|--app-only] [--dry-run]    layer 4: start in layer order; a lower layer must be complete
#|   stop, restart [SERVICE...]    stop in reverse order, data stays (--keep-infra: the application only); restart the named services
#|   rotate SECRET          renew encryption-key | oauth-key | postgres-password | garage-secret on the running platform; again: goes on
#|   backup, restore        save everything, encrypted, and restore it once to prove it; put a backup in the place of the live data
#|   cert status, cert root    the certificate that is shown (TLS_MODE, docs/tls.md), how long it is good; the root that clients are to trust
#|   status, versions       the four layers, every service, backups, what to do next; what runs and what it was made from
#|   update, upgrade, rollback, history    fetch a release; go to it, and back by itself if it is not healthy; go back; what was done
#|   logs, psql, shell [SERVICE]    what the services say (flags of docker compose logs); a prompt in the database; a shell (default: operator)
#|   teardown [--volumes]   remove the containers (y/N, --yes); --volumes: destroy the data too (the project's name typed, or --confirm NAME)
#|   self-update            these files anew out of the operator's image, after an upgrade; .operator/previous-files keeps the old ones
#|   env, help, version     Compose's variables, as in eval "$(./operator.sh env)"; docker compose ps. The three want no Docker
#| Examples: ./operator.sh up --dev --yes; ./operator.sh config ai-provider openai && ./operator.sh start
#| Exit codes: 0 ok, 1 bug, 2 usage, 3 precondition, 4 configuration missing or invalid, 5 locked, 6 Docker or registry,
#|   7 unhealthy or timed out, 8 migration or schema, 9 failed after impact, 10 status --exit-code: not as desired, 130/143 signals
# shellcheck disable=SC2012,SC2086,SC2229 # ls of one file; SECRETS, SETTINGS, UNSET, PASSED, KG_NAMES, FROM_ENV and OTHER are lists of words
{ # up to the last line: a file that is cut short is a syntax error, and nothing of it runs
set -eu
KG_VERSION=0.1.0
PINS='IMAGE_OPERATOR IMAGE_GATEWAY IMAGE_API IMAGE_WEB IMAGE_POSTGRES' # of .operator/release.env, which the engine writes
ENGINE_MINIMUM=25.0.0 COMPOSE_MINIMUM=2.24.4 # the first with start_interval in health checks; with the YAML tag !override
SECRETS='ENCRYPTION_KEY OAUTH_SIGNING_KEY GARAGE_RPC_SECRET GARAGE_ADMIN_TOKEN POSTGRES_PASSWORD'
SETTINGS='CONTAINER_PREFIX IMAGE_SOURCE IMAGE_REGISTRY IMAGE_TAG DEV_MODE API_PORT WEB_PORT BIND_ADDRESS'
SETTINGS="$SETTINGS TLS_MODE PUBLIC_HOST ACME_EMAIL ACME_URL ALLOW_PLAIN_HTTP"
UNSET="$SECRETS $SETTINGS $PINS COMPOSE_PROFILES COMPOSE_PATH_SEPARATOR COMPOSE_DISABLE_ENV_FILE"
UNSET="$UNSET COMPOSE_REMOVE_ORPHANS COMPOSE_PROJECT_DIRECTORY GATEWAY_USER"
PASSED='KG_ROOT KG_ACTOR COMPOSE_PROJECT_NAME COMPOSE_FILE COMPOSE_ENV_FILES GATEWAY_USER NO_COLOR FORCE_COLOR CI TERM COLUMNS'
NL=$(printf '\n.') && NL=${NL%.}
say() { [ -n "$QUIET" ] || printf '%s\n' "$*" >&2; }
json_text() { printf '%s\n' "$1" | LC_ALL=C tr '\001-\011\013-\037' ' ' | sed -e 's/[\\"]/\\&/g' -e '$!s/$/\\n/' | tr -d '\n'; }
fail() { # EXIT CODE MESSAGE [HINT]: for people on stderr; with --json also one document on stdout
  printf 'operator.sh: %s\n' "$3${4:+$NL  $4}" >&2
  [ -z "$JSON" ] || printf '{"schemaVersion":1,"ok":false,"command":"%s","error":{"code":"%s","message":"%s","hint":"%s"},"warnings":[]}\n' \
    "$(json_text "$COMMAND")" "$2" "$(json_text "$3")" "$(json_text "${4-}")"
  exit "$1"
}
usage_error() { fail 2 USAGE "$1" "see ./operator.sh $COMMAND --help"; }
finding() { FINDINGS="${FINDINGS:+$FINDINGS$NL}$2" FINDINGS_EXIT=${FINDINGS_EXIT:-$1}; } # EXIT MESSAGE: collected, to be mended in one go
report() { [ -z "$FINDINGS" ] || fail "$FINDINGS_EXIT" CHECKS_FAILED "$FINDINGS" 'nothing was changed'; }
locate_root() {
  case $0 in */*) script=$0 ;; *) script=./$0 ;; esac
  while [ -L "$script" ]; do target=$(readlink "$script") && case $target in /*) script=$target ;; *) script=${script%/*}/$target ;; esac; done
  KG_ROOT=$(CDPATH='' cd -P -- "${script%/*}/" && pwd -P && echo .) # the dot keeps a newline at the end of the name
  KG_ROOT=${KG_ROOT%"$NL".} && COMPOSE_DIR=$KG_ROOT/docker LAYOUT=repository
  case $KG_ROOT in *[:,]* | *"$NL"*) fail 3 ROOT_NAME "colon, comma or newline in $KG_ROOT: Compose separates paths by them" ;; esac
  [ -f "$COMPOSE_DIR/docker-compose.yml" ] || LAYOUT=standalone COMPOSE_DIR=$KG_ROOT
  [ -f "$COMPOSE_DIR/docker-compose.yml" ] || fail 3 NO_INSTALLATION "no docker-compose.yml in $KG_ROOT or its docker/"
}
# Prints "FILE:LINE: what is wrong" for each error, never with the value: it may be a secret; last, the settings in force and the names KG_*.
parse_files() { # name=NAME PATH ... The TypeScript twin is packages/engine/src/model/env-file.ts; test/shell/env-vectors.json binds the two.
  LC_ALL=C awk -v layout="$LAYOUT" -v version="$KG_VERSION" -v secrets="$SECRETS" -v settings="$SETTINGS" '
    function bad(line, what) { print name ":" line ": " what }
    function rule(of, key, like, words, value) { file[key] = of; good[key] = "^(" like ")$"; expected[key] = words; conf[key] = value }
    function fits(key, v) { return name == ".env" ? length(v) == expected[key] + 0 : length(v) < 129 && (key !~ /PORT/ || v + 0 < 65536) }
    BEGIN {
      c = ".operator.conf"; repository = layout == "repository"; octet = "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
      ipv4 = octet "[.]" octet "[.]" octet "[.]" octet; n = split(secrets, secret)
      for (i = 1; i <= n; i++) rule(".env", secret[i], "[0-9a-f]+", (secret[i] ~ /PASSWORD$/ ? 48 : 64) " lower-case hex digits")
      rule(c, "CONTAINER_PREFIX", "[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, _ and -", "kg")
      rule(c, "DEV_MODE", "true|false", "true or false", "false")
      rule(c, "IMAGE_SOURCE", "local|ghcr", "local or ghcr", repository ? "local" : "ghcr")
      rule(c, "IMAGE_REGISTRY", "[a-z0-9][a-z0-9.:/_-]*[a-z0-9]", "a registry and path such as ghcr.io/someone", "ghcr.io/kg-operator")
      rule(c, "IMAGE_TAG", "[A-Za-z0-9_][A-Za-z0-9_.-]*", "an image tag", repository ? "local" : version)
      rule(c, "API_PORT", "[1-9][0-9]*", "a port, 1 to 65535", 8000); rule(c, "WEB_PORT", "[1-9][0-9]*", "a port, 1 to 65535", 3000)
      rule(c, "BIND_ADDRESS", ipv4, "an IPv4 address", "127.0.0.1")
      rule(c, "TLS_MODE", "off|internal|acme|files", "off, internal, acme or files", "off"); label = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
      rule(c, "PUBLIC_HOST", "((" label "[.])*[a-z]([a-z0-9-]*[a-z0-9])?|" ipv4 ")?", "a DNS name in lower case, or an IPv4 address", "")
      rule(c, "ACME_EMAIL", "([^@]+@[^@]+)?", "an e-mail address", ""); rule(c, "ALLOW_PLAIN_HTTP", "true|false", "true or false", "false")
      rule(c, "ACME_URL", "https://[^/]+/.*", "an https:// address", "https://acme-v02.api.letsencrypt.org/directory")
    }
    FNR > 200 { if (FNR == 201) bad(201, "more than 200 lines"); next }
    FNR == 1 && /^\357\273\277/ { bad(1, "byte order mark: save the file as plain UTF-8"); next }
    /\r$/ { bad(FNR, "Windows line ending (CRLF): save the file with LF"); next }
    /^$/ || /^#/ { next }
    !/^[A-Z][A-Z0-9_]*=/ { bad(FNR, "expected KEY=value; a key is A-Z, 0-9 and _, without spaces around it"); next }
    { key = substr($0, 1, index($0, "=") - 1); value = substr($0, index($0, "=") + 1); first = at[name, key]; at[name, key] = FNR }
    first { bad(FNR, key " is set twice, first in line " first); next }
    file[key] != name { bad(FNR, "unknown key " key); next }
    value !~ /^[A-Za-z0-9_.\/:@%+,=-]*$/ { bad(FNR, "a value may hold only letters, digits and _./:@%+,=- (and no quotes)"); next }
    { if (value !~ good[key] || !fits(key, value)) bad(FNR, key " must be " expected[key]); else conf[key] = value }
    END {
      if (name == ".env") for (i = 1; i <= n; i++) if (!at[name, secret[i]]) print ".env: " secret[i] " is missing"
      name = c; if (!repository && conf["IMAGE_SOURCE"] == "local") bad(at[c, "IMAGE_SOURCE"], "nothing to build here: IMAGE_SOURCE=ghcr")
      if (conf["DEV_MODE"] == "true" && conf["IMAGE_SOURCE"] == "ghcr") bad(at[c, "DEV_MODE"], "DEV_MODE=true needs IMAGE_SOURCE=local")
      if (conf["API_PORT"] == conf["WEB_PORT"]) bad(at[c, "WEB_PORT"] + 0, "WEB_PORT and API_PORT are the same")
      mode = conf["TLS_MODE"]; host = conf["PUBLIC_HOST"]; line = at[c, "PUBLIC_HOST"] ? at[c, "PUBLIC_HOST"] : at[c, "TLS_MODE"]
      if (mode != "off" && host == "") bad(line, "TLS_MODE=" mode " needs PUBLIC_HOST, the name or address that people open")
      else if (mode == "acme" && host !~ /[.].*[a-z]/) bad(line, "TLS_MODE=acme needs a DNS name as PUBLIC_HOST; authorities know no other")
      if (mode == "acme" && conf["WEB_PORT"] != 443) bad(at[c, at[c, "WEB_PORT"] ? "WEB_PORT" : "TLS_MODE"],
        "TLS_MODE=acme needs WEB_PORT=443: there the authority asks whether the name is yours (tls-alpn-01)")
      line = ""; for (i = split(settings, setting); i > 0; i--) line = (conf[setting[i]] == "" ? "-" : conf[setting[i]]) " " line
      for (name in ENVIRON) if (name ~ /^KG_[A-Z0-9_]+$/) names = names " " name
      print line (at[c, "DEV_MODE"] + 0) names }' "$@"
}
read_settings() { # the resolver: the only place that decides which files, overlays and project Compose works on
  unset $UNSET # Compose prefers its environment to the files: what happens to be exported would change the meaning
  set -- name= /dev/null && COMPOSE_ENV_FILES='' HAS_ENV='' # the first: so that awk never waits for stdin
  for file in .operator.conf .env; do
    if [ -f "$KG_ROOT/$file" ] && [ -r "$KG_ROOT/$file" ]; then
      set -- "$@" "name=$file" "$KG_ROOT/$file"
      COMPOSE_ENV_FILES=${COMPOSE_ENV_FILES:+$COMPOSE_ENV_FILES,}$KG_ROOT/$file HAS_ENV=${file#.operator.conf}
    elif [ -e "$KG_ROOT/$file" ] || [ -L "$KG_ROOT/$file" ]; then finding 3 "$file: not a readable file"; fi
  done
  pins=$KG_ROOT/.operator/release.env && [ ! -f "$pins" ] || COMPOSE_ENV_FILES=${COMPOSE_ENV_FILES:+$COMPOSE_ENV_FILES,}$pins
  parsed=$(parse_files "$@")
  [ "$parsed" = "${parsed%"$NL"*}" ] || finding 3 "${parsed%"$NL"*}"
  read -r $SETTINGS DEV_LINE KG_NAMES <<END
${parsed##*"$NL"}
END
  case ${HAS_ENV:+$(ls -ldL "$KG_ROOT/.env")} in '' | ????------*) ;; *) finding 3 ".env: others can read it: chmod 600 '$KG_ROOT/.env'" ;; esac
  OPERATOR=$CONTAINER_PREFIX-operator COMPOSE_PROJECT_NAME=$CONTAINER_PREFIX base=$COMPOSE_DIR/docker-compose && COMPOSE_FILE=$base.yml
  [ "$IMAGE_SOURCE" = local ] || COMPOSE_FILE=$COMPOSE_FILE:$base.ghcr.yml; [ "$DEV_MODE" = false ] || COMPOSE_FILE=$COMPOSE_FILE:$base.dev.yml
  [ "$TLS_MODE" = off ] || COMPOSE_FILE=$COMPOSE_FILE:$base.tls.yml; [ "$TLS_MODE" != files ] || tls_files "$KG_ROOT/tls"
  [ ! -f "$base.override.yml" ] || COMPOSE_FILE=$COMPOSE_FILE:$base.override.yml
  export KG_ROOT COMPOSE_PROJECT_NAME COMPOSE_FILE COMPOSE_ENV_FILES
}
tls_files() { # DIRECTORY: the gateway runs as the owner of the key, so that nobody else need read it; inside it, a link leads nowhere
  missing='' && for file in cert.pem key.pem; do
    if [ -L "$1/$file" ] || [ ! -f "$1/$file" ]; then missing=1; finding 3 "tls/$file: TLS_MODE=files wants a file there, not a link"; fi
  done
  [ -z "$missing" ] || return 0
  GATEWAY_USER=$(ls -ndL "$1" "$1/cert.pem" "$1/key.pem" | awk '{ print $3 }' | sort -u) && export GATEWAY_USER
  case $GATEWAY_USER in 0 | *"$NL"*) finding 3 "tls/ and its files must belong to one user, not root: chown -R 1000 '$1'" ;; esac
  case $(ls -ld "$1/key.pem") in ????------*) ;; *) finding 3 "tls/key.pem: others can read it: chmod 600 '$1/key.pem'" ;; esac
}
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$1" ]; } # as numbers: 2.9.0 < 2.24.4
docker_is_ready() {
  if ! command -v docker >/dev/null; then finding 6 'Docker is not installed: https://docs.docker.com/engine/install/' && return; fi
  why=$(docker version --format '{{.Server.Version}}' 2>&1) || finding 6 "Docker does not answer: start it (systemctl start docker). $why"
  case $why in [0-9]*) at_least "$ENGINE_MINIMUM" "$why" || finding 6 "Docker Engine must be $ENGINE_MINIMUM or newer; found: $why" ;; esac
  found=$(docker compose version --short 2>/dev/null) || found=none
  at_least "$COMPOSE_MINIMUM" "${found#v}" || finding 6 "the docker compose plugin must be $COMPOSE_MINIMUM or newer; found: $found"
}
port_is_free() { # SETTING PORT: or held by this project's own gateway; only Linux says so beforehand, elsewhere docker finds out
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$2" -v bind="$BIND_ADDRESS" '
    BEGIN { split(bind, b, "."); want = sprintf("%02X%02X%02X%02X", b[4], b[3], b[2], b[1]); port = sprintf(":%04X$", port) }
    $4 == "0A" && sub(port, "", $2) && ($2 ~ /^0+$/ || want == "00000000" || $2 ~ want "$") { taken = 1 }
    END { exit !taken }' || return 0
  holder=$(docker ps --filter "publish=$2" --format '{{.Label "com.docker.compose.project"}} container {{.Names}}' 2>/dev/null) || holder=''
  [ "${holder%% *}" != "$CONTAINER_PREFIX" ] || return 0
  [ -n "$holder" ] || holder=$(lsof -nP -iTCP:"$2" -sTCP:LISTEN 2>/dev/null | awk 'NR == 2 { print " " $1 ", process " $2 }') || holder=''
  finding 3 "port $2 is in use${holder:+ by ${holder#* }}: free it, or set $1 to another port in .operator.conf"
}
place() { # NAME LINE...: whole or not at all, and never over an existing file: a link fails where a rename replaces
  target=$KG_ROOT/$1 temporary=$KG_ROOT/.env.tmp.$$ && shift
  trap 'rm -f "$temporary"' EXIT && trap 'exit 130' INT HUP && trap 'exit 143' TERM # dash runs the EXIT trap only if something exits
  (umask 077 && printf '%s\n' "$@" >"$temporary" && durable "$temporary") || fail 3 NOT_WRITTEN "$KG_ROOT does not take a file"
  ln "$temporary" "$target" 2>/dev/null || { [ ! -e "$target" ] && mv "$temporary" "$target"; } ||
    fail 3 NOT_WRITTEN "$target was not written: another command was faster, or $KG_ROOT does not take it"
  rm -f "$temporary" && durable "$KG_ROOT"
}
durable() { sync "$1" 2>/dev/null || sync; } # on the disk; a directory: its names
renew() { # NAMES TEXT: RENEWED is the text with new random values for these names; through pipes, since argv is public
  RENEWED=$(printf '%s\n' "$2" | LC_ALL=C awk -F= -v names=" $1 " -v random="od -An -v -tx1 -N32 /dev/urandom | tr -d ' \\n'" '
    /=/ && index(names, " " $1 " ") {
      value = ""; random | getline value; close(random); if (length(value) != 64) exit 1
      $0 = $1 "=" ($1 ~ /PASSWORD$/ ? substr(value, 1, 48) : value)
    } { print }') || fail 1 NO_RANDOMNESS '/dev/urandom gave too few bytes'
}
initialise() { # what is missing of .operator.conf and .env; .env comes last: where it is, init was finished
  volumes=$(docker volume ls -q --filter "label=com.docker.compose.project=$CONTAINER_PREFIX") || fail 6 DOCKER 'docker volume ls failed'
  for file in .env.next .env.previous; do [ ! -e "$KG_ROOT/$file" ] || volumes="$volumes $file"; done # they belong to an .env, too
  [ -z "$volumes" ] || [ -n "$HAS_ENV" ] || fail 3 DATA_WITHOUT_ENV "no .env, but what was locked with the lost secrets:$NL$volumes" \
    'put your copy of .env back, or destroy the data: ./operator.sh teardown --volumes'
  rm -f "$KG_ROOT"/.env.tmp.* && (umask 077 && mkdir -p "$KG_ROOT/.operator") # the first: of a run that was killed
  [ -e "$KG_ROOT/.operator.conf" ] ||
    place .operator.conf '# The settings of this installation; .operator.conf.example explains each.' "CONTAINER_PREFIX=$CONTAINER_PREFIX" \
      "IMAGE_SOURCE=$IMAGE_SOURCE" "IMAGE_REGISTRY=$IMAGE_REGISTRY" "IMAGE_TAG=$IMAGE_TAG" "DEV_MODE=${DEV:-$DEV_MODE}" \
      "API_PORT=$API_PORT" "WEB_PORT=$WEB_PORT" "BIND_ADDRESS=$BIND_ADDRESS" "TLS_MODE=$TLS_MODE" "PUBLIC_HOST=${PUBLIC_HOST#-}" \
      "ACME_EMAIL=${ACME_EMAIL#-}" "ACME_URL=$ACME_URL" "ALLOW_PLAIN_HTTP=$ALLOW_PLAIN_HTTP"
  [ -z "$HAS_ENV" ] || return 0
  renew "$SECRETS" "$(printf '%s=\n' $SECRETS)"
  place .env '# Written by ./operator.sh init. Keep a copy elsewhere: without it the data of this installation cannot be read.' "$RENEWED"
  say "Wrote $KG_ROOT/.env: keep a copy of it elsewhere. Settings: .operator.conf"
}
rotate() { # in steps, and the same command goes on after any of them; .env.previous is kept until the engine has seen the old value refused
  case $OTHER in
    ' encryption-key') names=ENCRYPTION_KEY ;; ' oauth-key') names=OAUTH_SIGNING_KEY ;; ' postgres-password') names=POSTGRES_PASSWORD ;;
    ' garage-secret') names='GARAGE_RPC_SECRET GARAGE_ADMIN_TOKEN' ;; *) usage_error 'rotate wants the name of one secret' ;; esac
  env=$KG_ROOT/.env begun=/dev/null && rm -f "$KG_ROOT"/.env.tmp.* # of a run that was killed
  if [ -e "$env.next" ]; then begun=$env.next; elif [ -e "$env.previous" ]; then begun=$env; fi
  begun=$(sed -n 's/^# Rotated \([a-z-]*\) .*/ \1/p' "$begun")
  case $begun in '' | "$OTHER") ;; *) fail 3 ROTATION_UNFINISHED "another rotation is unfinished:$begun" "./operator.sh rotate$begun" ;; esac
  if [ -z "$begun" ]; then
    engine_step "$@" --check
    renew "$names" "$(grep -v '^# Rotated ' "$env")"
    place .env.next "# Rotated$OTHER $(date -u +%Y-%m-%dT%H:%M:%SZ)" "$RENEWED"
  fi
  if [ -e "$env.next" ]; then
    engine_step "$@"
    [ -e "$env.previous" ] || place .env.previous "$(cat "$env")"
    chown "$(ls -ndL "$env" | awk '{ print $3 }')" "$env.next" "$env.previous" # root must not take it from who installed
    mv -f "$env.next" "$env"; durable "$KG_ROOT"
  fi
  engine_step "$@" --finish
  rm -f "$env.previous" && durable "$KG_ROOT" && printf %s "$ANSWER"
}
engine_step() { # FLAGS: engine rotate, which must succeed; its JSON goes to ANSWER, since only the last one is printed
  if [ -z "$JSON" ]; then ANSWER=''; run_engine rotate "$@"
  elif ANSWER=$(run_engine rotate "$@"; printf '\n%s' "$STATUS"); then STATUS=${ANSWER##*"$NL"} ANSWER=${ANSWER%"$NL"*}
  else STATUS=$?; fi
  [ "$STATUS" = 0 ] || { printf %s "$ANSWER"; exit "$STATUS"; }
}
compose() { docker compose "$@" >&2 || fail 6 COMPOSE_FAILED "docker compose $* failed"; } # stdout is for the answer
images_are_there() { docker compose config --images "$@" | grep kg-operator- | xargs docker image inspect >/dev/null 2>&1; } # [SERVICE]
bring_up_operator() { # up makes all images anew, start those that are missing
  [ "$TLS_MODE" = off ] || mkdir -p "$KG_ROOT/tls" # or Docker makes it, as root's
  if [ "$IMAGE_SOURCE" = ghcr ]; then compose pull --policy missing
  elif [ "$COMMAND" = up ] || ! images_are_there; then
    REVISION=$(git -C "$KG_ROOT" rev-parse HEAD 2>/dev/null) || REVISION=unknown
    CREATED=$(git -C "$KG_ROOT" show -s --format=%cI HEAD 2>/dev/null || date -u -r "$0" +%Y-%m-%dT%H:%M:%SZ) || CREATED=unknown
    export VERSION="$KG_VERSION" REVISION CREATED # build arguments; the commit's or file's time: an unchanged tree makes the same images
    say 'Building images' && compose build
  fi
  compose up -d --no-deps --wait operator
}
try_engine() { # STATUS is the engine's exit code, or "absent": its container is not running and nothing has run
  directory=$(pwd -P 2>/dev/null) || directory=$KG_ROOT
  case $directory/ in "$KG_ROOT"/*) ;; *) directory=$KG_ROOT ;; esac
  set -- -w "$directory" "$OPERATOR" kg-operator "$@"
  KG_ACTOR=${SUDO_USER:-$(id -un 2>/dev/null || id -u)} && export KG_ACTOR
  for name in $PASSED $KG_NAMES $FROM_ENV; do set -- -e "$name" "$@"; done
  if [ -t 0 ] && [ -t 1 ]; then set -- -t "$@"; fi # not otherwise: -t merges stderr into stdout
  { STATUS=$({ { docker exec -i "$@" 2>&1 >&3 3>&- 4>&- && echo 0 >&4 || echo "$?" >&4; } | first_line 3>&-; } 4>&1); } 3>&1
  case $STATUS in *absent*) STATUS=absent ;; *125*) STATUS=125 ;; esac # first_line's word, before or after docker's exit code
  case $STATUS in absent | 1 | 12[567]) ;; *) return ;; esac
  running=$(docker container inspect -f '{{.State.Running}}' "$OPERATOR" 2>/dev/null) || running=''
  case $STATUS$running in absent | absentfalse | 1true) return ;; esac # the last: a 1 of the engine's own
  case $COMMAND in upgrade | rollback) return ;; esac # see change
  fail 6 ENGINE_NOT_RUN 'docker could not run the engine' 'try again, or ./operator.sh start --infra-only'
}
first_line() { # holds back docker's complaint, the first line of stderr: to ask beforehand would cost every command a docker call (20 ms)
  trap '' INT # Ctrl-C is for the engine; what it says about it must still arrive
  IFS= read -r line || [ -n "$line" ] || return 0
  case $line in
    *"No such container: $OPERATOR" | 'Error response from daemon: '[Cc]'ontainer '*' is not running') echo absent >&4 ;;
    'Error response from daemon: Container '*' is '*) printf '%s\n' "$line" >&2 && echo 125 >&4 ;; # paused, restarting
    *) printf '%s\n' "$line" >&2 ;;
  esac
  exec cat >&2
}
engine() { run_engine "$@"; exit "$STATUS"; } # ARGS: never returns
operator_id() { docker container inspect -f '{{if .State.Running}}{{.Id}}{{end}}' "$OPERATOR" 2>/dev/null; }
change() { # ARGS: upgrade and rollback go on without us, and replace the container that shows them: the one after it shows the rest
  was=$(operator_id) || was=''
  run_engine "$COMMAND" "$@"; TIMES=$((TIMES + 1))
  case $STATUS in [0-9] | 10 | 130 | 143) exit "$STATUS" ;; esac # it has ended by itself; 75 and 137: it was replaced, or is about to be
  for wait in 1 1 1 1 1 1 1 1 2 2 2 2 2; do
    id=$(operator_id) || id=''
    case $id in '' | "$was") sleep "$wait" ;; *) break ;; esac
  done
  [ "$TIMES" -lt 20 ] || exit "$STATUS" # more versions than that are on no path
  change --attach ${JSON:+--json} ${QUIET:+--quiet} ${NO_INPUT:+--no-input}
}
run_engine() { # ARGS: as try_engine, but brings the container up if it is not
  try_engine "$@"
  if [ "$STATUS" = absent ]; then
    images_are_there operator || fail 3 NOT_STARTED 'this installation has not been started yet' 'run ./operator.sh up, or start'
    say 'Starting the operator container'; compose up -d --no-deps operator; try_engine "$@"
  fi
  [ "$STATUS" != absent ] || fail 6 OPERATOR_STOPS 'the operator container does not stay up' "docker logs $OPERATOR"
}
ask() { [ -z "$NO_INPUT" ] && (: </dev/tty) 2>/dev/null && printf '%s ' "$1" >/dev/tty && read -r answer </dev/tty && echo "$answer"; }
teardown() { # keeps data and .env unless --volumes
  [ -z "$(docker ps -q --filter "name=^/?$CONTAINER_PREFIX-runner$")" ] ||
    fail 5 LOCKED 'an upgrade or rollback is running' \
      "./operator.sh upgrade --attach shows it; docker stop $CONTAINER_PREFIX-runner ends it between two steps"
  if [ -n "$VOLUMES" ]; then
    [ "${CONFIRM:-$(ask "This destroys all data of the installation. Type its name, $CONTAINER_PREFIX, to go on:")}" = "$CONTAINER_PREFIX" ] ||
      usage_error "not confirmed: to destroy the data, type the name on a terminal or give --confirm $CONTAINER_PREFIX"
  else
    case ${YES:-$(ask 'Remove the containers? Data and .env stay. [y/N]')} in [yY]*) ;; *) usage_error 'not confirmed: give --yes' ;; esac
  fi
  cd / && unset COMPOSE_FILE COMPOSE_ENV_FILES # Compose then goes by its labels: needs no .env, and sees what earlier settings started
  compose down --remove-orphans ${VOLUMES:+--volumes} && [ -n "$VOLUMES" ] || return 0
  left=$(docker volume ls -q --filter "label=com.docker.compose.project=$CONTAINER_PREFIX") || left=unknown # compose passes over those in use
  [ -z "$left" ] || fail 6 VOLUMES_LEFT "not removed, still in use: $left" 'stop what uses them (docker ps --filter volume=NAME), then again'
  stamp=removed-$(date -u +%Y%m%dT%H%M%SZ) journal=$KG_ROOT/.operator/journal && removed=.env.$stamp
  [ ! -e "$journal.jsonl" ] || mv "$journal.jsonl" "$journal.$stamp.jsonl" # an upgrade in it that was cut off would bar the next up
  for file in '' .next .previous; do [ ! -e "$KG_ROOT/.env$file" ] || mv "$KG_ROOT/.env$file" "$KG_ROOT/$removed$file"; done
  say "The data is gone.${HAS_ENV:+ .env is now $removed: it still opens backups; delete it if there are none}"
}
finish_files() { # puts in place what install.sh or self-update had laid beside, whole, when it was cut off; the twin is in install.sh
  next=$KG_ROOT/.operator/next-files && [ -d "$next" ] || return 0
  (cd "$next" && find . -type f ! -path ./operator.sh && echo ./operator.sh) | while IFS= read -r name; do
    [ ! -f "$next/$name" ] || { mkdir -p "$KG_ROOT/${name%/*}" && mv -f "$next/$name" "$KG_ROOT/$name"; } || :
  done
  [ -z "$(find "$next" -type f)" ] || fail 3 NOT_WRITTEN "not all of $next could be put in place" 'make room or rights, then again'
  rm -rf "$next"; durable "$KG_ROOT"
}
self_update() { # Docker has compared the image with its digest; a service's file system can't be written to
  [ "$LAYOUT" = standalone ] || fail 3 REPOSITORY 'this is a checkout of the repository' 'git pull, then ./operator.sh up'
  image=$(docker container inspect -f '{{.Config.Image}}' "$OPERATOR" 2>/dev/null) || fail 3 NOT_STARTED 'there is no operator' 'start it'
  case $image in *@sha256:* | sha256:*) ;; *) fail 3 NOT_PINNED "$image is not pinned by digest" './operator.sh upgrade pins it' ;; esac
  next=$KG_ROOT/.operator/next-files old=$KG_ROOT/.operator/previous-files new=$KG_ROOT/.operator/next-files.tmp.$$
  rm -rf "$KG_ROOT"/.operator/*-files.tmp.*; mkdir "$new" "$old.tmp.$$"
  docker cp "$OPERATOR:/opt/kg-operator/standalone/." "$new" >&2 || fail 3 NO_FILES "$image carries no files" 'install.sh brings them'
  (cd "$new" && find . -type f) | while IFS= read -r name; do
    if cmp -s "$new/$name" "$KG_ROOT/$name"; then rm "$new/$name"; elif [ -e "$KG_ROOT/$name" ]; then
      mkdir -p "$old.tmp.$$/${name%/*}" && cp -p "$KG_ROOT/$name" "$old.tmp.$$/$name"; fi
  done
  if [ -z "$(find "$new" -type f)" ]; then rm -rf "$new" "$old.tmp.$$"; say 'The files are those of the operator already'; return; fi
  rm -rf "$old"; mv "$old.tmp.$$" "$old"; durable "$new"; mv "$new" "$next"; finish_files # the last rename but those of finish_files decides
  if why=$("$KG_ROOT/operator.sh" version && "$KG_ROOT/operator.sh" status --quiet 2>&1 >/dev/null); then say "Now: $why"; return; fi
  cp -Rp "$old" "$new"; mv "$new" "$next"; finish_files
  fail 7 SELF_UPDATE_FAILED "the new operator.sh does not answer; the old files are back$NL$why"
}
own_command() { # the checks, one report of all they found, the command
  case $COMMAND in init | up | start | rotate | teardown | self-update) docker_is_ready ;; esac
  case $COMMAND$DRY_RUN in up | start) port_is_free API_PORT "$API_PORT" && port_is_free WEB_PORT "$WEB_PORT" ;; esac
  case $COMMAND$TLS_MODE$ALLOW_PLAIN_HTTP:$BIND_ADDRESS in *:127.*) ;; upofffalse:* | startofffalse:*) # self-update of an older one must pass
    finding 3 "BIND_ADDRESS=$BIND_ADDRESS without TLS lets passwords cross the network in the clear: TLS_MODE, or ALLOW_PLAIN_HTTP=true" ;; esac
  case $DEV$LAYOUT$DEV_MODE:$COMPOSE_ENV_FILES in truestandalone* | truerepositoryfalse:*/.operator.conf*)
    finding 3 ".operator.conf:$DEV_LINE: --dev needs the repository, and DEV_MODE=true in this file" ;; esac
  [ "$COMMAND$HAS_ENV" != init.env ] || finding 3 '.env exists already: init never replaces it'
  case $COMMAND in init | teardown | env | self-update) [ -z "$OTHER" ] || usage_error "$COMMAND does not take$OTHER" ;; esac
  report
  case $COMMAND in
    init) initialise; say 'Next: ./operator.sh up, or start --infra-only and config' ;; # no && or ||, here and below: they switch set -e off
    up | start) if [ "$COMMAND$DRY_RUN" = up ]; then initialise; read_settings; fi
      if [ -z "$DRY_RUN" ]; then bring_up_operator; fi
      engine "$COMMAND" "$@" ;;
    stop) [ -z "$OTHER" ] || engine stop "$@" # a part of it, or a dry run: the operator stays
      try_engine stop "$@"
      case $STATUS in absent) compose stop ;; 0) compose stop operator && exit ;; *) exit "$STATUS" ;; esac ;;
    restart) [ -n "$OTHER" ] || usage_error "restart wants a SERVICE: $(docker compose config --services | sort | tr '\n' ' ')"
      compose restart $OTHER ;;
    logs) docker compose logs "$@" || ended "$?" ;;
    shell) if [ -t 0 ] && [ -t 1 ]; then set -- exec; else set -- exec -T; fi
      docker compose "$@" ${OTHER:-operator} sh || ended "$?" ;;
    rotate) rotate "$@"; return ;; teardown) teardown ;; self-update) self_update ;;
    env) echo "unset $UNSET" # first: GATEWAY_USER is among them
      printf '%s\n' "KG_ROOT=$KG_ROOT" "COMPOSE_PROJECT_NAME=$COMPOSE_PROJECT_NAME" "COMPOSE_FILE=$COMPOSE_FILE" \
        "COMPOSE_ENV_FILES=$COMPOSE_ENV_FILES" ${GATEWAY_USER:+"GATEWAY_USER=$GATEWAY_USER"} |
        sed -e "s/'/'\\\\''/g" -e "s/=/='/" -e "s/^/export /" -e "s/\$/'/" ;; # quoted for eval
  esac
  [ -z "$JSON" ] || printf '{"schemaVersion":1,"ok":true,"command":"%s","data":{},"warnings":[]}\n' "$COMMAND"
}
ended() { case $1 in 1 | 12[567]) exit 6 ;; *) exit "$1" ;; esac } # docker compose's exit code as ours
main() {
  JSON='' QUIET='' NO_INPUT='' YES='' DEV='' VOLUMES='' CONFIRM='' DRY_RUN='' HELP='' OTHER='' FINDINGS='' FINDINGS_EXIT='' FROM_ENV='' TIMES=0
  COMMAND=${1:-help} own='' previous='' && shift "$(($# > 0))"
  for argument; do # notes the flags that mean something here; the engine gets them all, except that up --dev is the shim's
    shift; [ "$COMMAND $argument" = 'up --dev' ] || set -- "$@" "$argument"
    case $previous$argument in
      --json) JSON=1 ;; --quiet) QUIET=1 ;; --no-input) NO_INPUT=1 ;; --yes) YES=yes ;; --dev) DEV=true ;; --help | -h) HELP=1 ;;
      --volumes) VOLUMES=1 ;; --confirm) ;; --confirm?*) CONFIRM=${argument#--confirm=} ;;
      *) OTHER="$OTHER $argument" ;;
    esac
    case $previous$argument in --dry-run) DRY_RUN=1 ;; --from-env*[!A-Za-z0-9_=]* | --from-env?*=*) ;; # no name: the engine says so
      --from-env?*) FROM_ENV="$FROM_ENV ${argument#--from-env=}" ;; esac
    case $argument in --confirm | --from-env) previous=$argument ;; *) previous='' ;; esac
  done
  case $COMMAND in
    help | -h | --help) if [ $# -gt 0 ]; then main "$@" --help; else sed -n 's/^#| //p' "$0"; fi && return ;;
    version | -V | --version) echo "kg-operator $KG_VERSION" && return ;;
    -*) COMMAND=help && usage_error 'the command comes first, then its flags' ;;
    init | up | start | stop | restart | rotate | logs | shell | teardown | self-update | env) own=1 ;;
    *) HELP='' ;;
  esac
  if [ -n "$HELP" ]; then sed -n 's/^#| //p' "$0" | grep -E "^  ([a-z, ]+, )?${COMMAND}[ ,]|^Usage|^Exit|^  7" && return; fi
  locate_root
  if [ -d "$KG_ROOT/.operator/next-files" ]; then finish_files; exec "$KG_ROOT/operator.sh" "$COMMAND" "$@"; fi
  read_settings
  case $HAS_ENV$COMMAND in .env* | init | up | teardown) ;; *) finding 3 "no .env in $KG_ROOT: run ./operator.sh init, or up for all" ;; esac
  if [ -n "$own" ]; then own_command "$@"; else report; fi
  case $own$COMMAND in upgrade | rollback) change "$@" ;; "$COMMAND") engine "$COMMAND" "$@" ;; esac
}
main "$@"; exit $?; }
