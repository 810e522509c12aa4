#!/bin/bash
# kg-healthcheck PORT PATH: healthy if a GET on this container's own loopback answers 200; otherwise says what it answered,
# for `docker inspect`. bash opens the connection itself, so that no image carries curl.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
read -r _ status _ <&3
[ "$status" = 200 ] && exit 0
echo "HTTP ${status:-connection closed}"
cat <&3
exit 1
