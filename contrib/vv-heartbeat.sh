#!/bin/sh
# vv-heartbeat.sh JOB: record that JOB succeeded just now, as `vv heartbeat JOB` does, where starting Python is too much.
# It needs nothing but sh and coreutils (or busybox). Exit codes: 0 recorded, 1 not recorded, 2 wrong use.
# What it writes is docs/journal.md, format 1: a file without a lock, complete under its final name; it is counted after
# five seconds.
set -eu

if [ $# -ne 1 ] || [ -z "$1" ] || [ "$1" = -h ] || [ "$1" = --help ]; then
  echo "usage: ${0##*/} JOB    record that JOB succeeded just now" >&2
  exit 2
fi
case $1 in
  *[[:cntrl:]]*)
    echo "${0##*/}: a job's name has no control characters" >&2
    exit 2
    ;;
esac

# As the SDK finds it (vv_core.common.environment.state_dir).
state_folder() {
  if [ -n "${VV_STATE_DIR:-}" ]; then
    echo "$VV_STATE_DIR"
  elif [ "$(id -u)" = 0 ] || [ -d /var/lib/vv ] || [ -d /etc/vv ] || [ -z "${XDG_STATE_HOME:-${HOME:-}}" ]; then
    echo /var/lib/vv
  else
    echo "${XDG_STATE_HOME:-$HOME/.local/state}/vv"
  fi
}

not_recorded() {
  rm -f "$waiting"
  echo "${0##*/}: the heartbeat could not be recorded in $journal" >&2
  exit 1
}

journal=$(state_folder)/journal
name=sh-$(date +%s)-$$-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
waiting=$journal/$name.new
now=$(date +%s.%N)
case $now in *N*) now=${now%%.*} ;; esac # a date(1) without nanoseconds
job=$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')

umask 027
[ -d "$journal" ] || not_recorded # the exporter makes it, with the modes that it needs
printf '{"v":1,"type":"heartbeat","ts":%s,"component":"vv heartbeat","job":"%s"}\n' "$now" "$job" \
  2> /dev/null > "$waiting" || not_recorded
mv "$waiting" "$journal/$name.0.jsonl" 2> /dev/null || not_recorded
