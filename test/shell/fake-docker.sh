#!/bin/sh
# A docker that remembers. It records every call in $FAKE_DOCKER/calls (count, then the arguments, NUL after each) and the names and values
# it was given in $FAKE_DOCKER/env.N, and answers from the files of $FAKE_DOCKER:
#   down             the daemon does not answer           compose-version  what `compose version --short` says
#   operator         the container's state, if it exists  volumes          what `volume ls` says
#   holder           what `ps` says                       no-images        `image inspect` fails
#   fail             a pattern: calls it matches exit 1   engine           a script that is the engine (default: exit 0)
#   engine-version   what `version` says of the server   held             volumes are in use: `down --volumes` leaves them
#   info             what `info` says to install.sh       docker-version   what `--version` says
#   operator-image   name of the operator's image         standalone       the folder of that name in it
#   run-engine       a script that is the engine of `run`, with what comes after the image's name
#   image-ids        names and ids for `image inspect -f` loaded           what `load` read
set -eu
cd "$FAKE_DOCKER"
{ printf '%s\0' "$#"; if [ $# -gt 0 ]; then printf '%s\0' "$@"; fi; } >>calls
n=0
[ ! -e count ] || read -r n <count || n=0 # an earlier call may have been killed while it wrote
n=$((n + 1))
echo "$n" >count
env -0 >"env.$n"

if [ -e fail ]; then
  # shellcheck disable=SC2254 # a pattern
  case $* in $(cat fail)) echo 'scripted failure' >&2; exit 1 ;; esac
fi
case $* in
  'compose version'*) cat compose-version 2>/dev/null || echo 2.26.1; exit ;;
  --version) cat docker-version 2>/dev/null || echo 'Docker version 26.1.5, build a72d7cd'; exit ;;
esac
if [ -e down ]; then
  grep . <down >&2 ||
    echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2
  exit 1
fi
state=
if [ -e operator ]; then read -r state <operator || true; fi
case $* in
  'compose '*)
    shift
    case $* in
      'config --images'*) printf '%s\n' kg-operator-api:local dxflrs/garage:v2.3.0 kg-operator-operator:local ;;
      'config --services') printf '%s\n' web api operator ;;
      up*operator) if [ ! -e stays-down ]; then echo running >operator; fi; echo 'noise on stdout' ;;
      'stop operator' | stop) [ -z "$state" ] || echo stopped >operator ;;
      down*--volumes*) rm -f operator; [ -e held ] || rm -f volumes ;; # compose passes over a volume in use, and exits 0
      down*) rm -f operator ;;
      logs*) echo 'log line' ;;
      exec*) if [ -e engine ]; then exec sh engine "$@"; fi ;;
    esac ;;
  exec*)
    shift
    while :; do case $1 in -[we]) shift 2 ;; -*) shift ;; *) break ;; esac; done
    name=$1
    shift 2
    case $state in
      '') echo "Error response from daemon: No such container: $name" >&2; exit 1 ;;
      stopped) echo "Error response from daemon: container 0123abc is not running" >&2; exit 1 ;;
      stopped-old) echo "Error response from daemon: Container 0123abc is not running" >&2; exit 1 ;;
      paused) echo "Error response from daemon: Container $name is paused, unpause the container before exec" >&2; exit 1 ;;
    esac
    if [ -e engine ]; then exec sh engine "$@"; fi ;;
  'container inspect'*.Id*) # the id; `engine` scripts write another one when they are replaced
    [ -n "$state" ] || exit 1
    cat operator-id 2>/dev/null || echo 0123abc ;;
  'container inspect'*.Config.Image*) cat operator-image 2>/dev/null || exit 1 ;;
  'container inspect'*)
    [ -n "$state" ] || { echo 'Error response from daemon: No such container' >&2; exit 1; }
    case $state in stopped*) echo false ;; *) echo true ;; esac ;;
  'image inspect -f'*) grep "^$5 " image-ids | cut -d ' ' -f 2 ;;
  'image inspect'*) [ ! -e no-images ] ;;
  'run '*) # `docker run FLAGS IMAGE kg-operator ARGS`
    while [ "$1" != kg-operator ]; do shift; done
    shift
    if [ -e run-engine ]; then exec sh run-engine "$@"; fi ;;
  'pull '*) ;;
  info*) cat info 2>/dev/null || echo 'overlay2|/var/lib/docker|linux|8000000000|[name=seccomp,profile=builtin]|' ;;
  load) cat >loaded ;;
  'cp '*:/opt/kg-operator/standalone/.*) cp -R standalone/. "$3" ;;
  'volume ls'*) cat volumes 2>/dev/null || true ;;
  ps*) cat holder 2>/dev/null || true ;;
  version*) cat engine-version 2>/dev/null || echo 26.1.5 ;;
  *) echo "fake docker does not know: $*" >&2; exit 64 ;;
esac
