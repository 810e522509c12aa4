#!/bin/sh
# The gateway with TLS: its command in docker-compose.tls.yml. An image that knows no TLS lacks this file, and does not serve without it.
set -eu
# A certificate authority of one's own, whose ACME server the gateway is to trust; beside those that everybody trusts.
[ ! -f /tls/acme-ca.pem ] || export SSL_CERT_FILE=/tls/acme-ca.pem
files() { busybox cat /tls/cert.pem /tls/key.pem 2>/dev/null | busybox sha256sum; }
if [ "$TLS_MODE" = files ]; then
  # SIGUSR1: Caddy reads its configuration again, and with it the files. Does that fail, it goes on with those it has: the key may come a
  # moment after the certificate.
  (seen=$(files) && while busybox sleep 5; do
    now=$(files) && if [ "$now" != "$seen" ]; then seen=$now && busybox kill -USR1 1; fi
  done) &
fi
exec caddy run --config /etc/caddy/Caddyfile
