#!/bin/sh
# Installs the exporter, the self-monitor and the Docker proxy as services of systemd: `make install`.
#   install.sh PYTHON PIP_PYTHON
# PYTHON runs the services; PIP_PYTHON is one that has pip. PREFIX and DESTDIR come from the environment; with DESTDIR
# nothing outside of it is touched, and no user is made.
set -eu
python=$1 pip_python=$2
prefix=${PREFIX:-/opt/vv} root=${DESTDIR:-}
here=$(cd "$(dirname "$0")" && pwd)
requirements=$here/../exporter/requirements
into=$root$prefix

"$python" -m venv --without-pip "$into"
"$pip_python" -m pip --python "$into/bin/python" install --quiet --require-hashes --only-binary=:all: \
  -r "$requirements/exporter.txt"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv --without-pip "$work/build"
"$pip_python" -m pip --python "$work/build/bin/python" install --quiet --require-hashes --only-binary=:all: \
  -r "$requirements/build.txt"
"$pip_python" -m pip --python "$work/build/bin/python" wheel --quiet --no-deps --no-build-isolation \
  --wheel-dir "$work" "$here/.."
"$pip_python" -m pip --python "$into/bin/python" install --quiet --no-deps --no-index --force-reinstall "$work"/*.whl
# The command's first line names the Python beside it, wherever the folder is put.
sed -i "1s|.*|#!$prefix/bin/python|" "$into/bin/vv"

install -d "$root/usr/local/bin" "$root/etc/systemd/system" "$root/etc/sysusers.d" "$root/etc/tmpfiles.d" "$root/etc/vv"
ln -sf "$prefix/bin/vv" "$root/usr/local/bin/vv"
for unit in "$here"/systemd/*.service; do
  sed "s|@PREFIX@|$prefix|g" "$unit" > "$root/etc/systemd/system/$(basename "$unit")"
done
install -m 0644 "$here/systemd/sysusers.conf" "$root/etc/sysusers.d/vv.conf"
install -m 0644 "$here/systemd/tmpfiles.conf" "$root/etc/tmpfiles.d/vv.conf"
"$here/environment-file.sh" "$root/etc/vv/vv.env" "$here/../.env.example"
if [ -z "$root" ]; then
  systemd-sysusers /etc/sysusers.d/vv.conf
  systemd-tmpfiles --create /etc/tmpfiles.d/vv.conf
  if [ -d /run/systemd/system ]; then # sd_booted(3): not where a disk or an image is being made
    systemctl daemon-reload
  fi
  echo "Installed. Fill in /etc/vv/vv.env and /etc/vv/vv.yml, try"
  echo "  vv --env-file /etc/vv/vv.env config check; vv doctor"
  echo "then:"
  echo "  systemctl enable --now vv-docker-proxy vv-exporter vv-self-monitor"
  echo "and where VV_FLEET_URL names the centre of a fleet:"
  echo "  systemctl enable --now vv-fleet-agent"
fi
