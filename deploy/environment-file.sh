#!/bin/sh
# Makes the services' file of settings, or tells it what a newer version needs; lines that are there stay as they are.
#   environment-file.sh FILE EXAMPLE
set -eu
file=$1 example=$2

if [ ! -e "$file" ]; then
  install -m 0600 "$example" "$file"
fi
if ! grep -q '^[[:space:]]*VV_DEPLOYMENT[[:space:]]*=' "$file"; then
  # A blank line first: the last one may end without a newline, or in a backslash.
  printf '\n\n# For `vv --env-file /etc/vv/vv.env`, as the units have it.\nVV_DEPLOYMENT=systemd\n' >> "$file"
fi
