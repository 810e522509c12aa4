#!/bin/sh
# Looks every half minute whether a backup is due, and only then starts the engine: waiting costs nothing. The file holds seconds since
# 1970; packages/engine/src/backup/scheduler.ts writes it.
set -u
# The host or Docker may have been restarted in the middle of an upgrade; one that somebody is at is left alone.
kg-operator runner --resume &

due_file=${KG_ROOT:-}/.operator/backup-due
while :; do
  if [ -r "$due_file" ] && due=$(cat "$due_file") && [ "${due:-0}" -gt 0 ] 2>/dev/null && [ "$due" -le "$(date +%s)" ]; then
    # Its output is the container's log. A failure is written down, and due again later.
    kg-operator backup scheduled || :
  fi
  sleep "${KG_SCHEDULE_SECONDS:-30}"
done
