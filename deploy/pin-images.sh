#!/bin/sh
# Print a line for .env for each image of others that docker-compose.yml names by its tag: the same with the digest that
# the tag has now. From then on a tag that is moved to another image changes nothing here. `make pin >> .env`
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

grep -oE '[$][{]VV_[A-Z]+_IMAGE:-[^}]+[}]' "$here/docker-compose.yml" | sort -u | while read -r found; do
  variable=${found#??} variable=${variable%%:-*}
  image=${found#*:-} image=${image%?}
  docker pull --quiet "$image" >/dev/null
  digest=$(docker image inspect --format '{{index .RepoDigests 0}}' "$image")
  case $digest in
    *@sha256:*) echo "$variable=$image@${digest##*@}" ;;
    *) echo "$image has no digest: it was made here, and not pulled" >&2 && exit 1 ;;
  esac
done
