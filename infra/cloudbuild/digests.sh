#!/bin/sh
# Digests of the base images, as NAME_DIGEST=sha256:..., one a line.
# Usage: infra/cloudbuild/digests.sh [--resolve]
#
# Prints infra/cloudbuild/digests.env where it is committed, so that a build can be repeated and a new
# base is a reviewed change; else, or with --resolve, asks the registry what the tags are now:
#
#   sh infra/cloudbuild/digests.sh --resolve > infra/cloudbuild/digests.env
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if [ "${1:-}" != --resolve ] && [ -f "$here/digests.env" ]; then
    cat "$here/digests.env"
    exit
fi

resolve() {
    digest=$(docker buildx imagetools inspect "$2" --format '{{.Manifest.Digest}}')
    case $digest in
    sha256:????????????????????????????????????????????????????????????????) echo "$1=$digest" ;;
    *)
        echo "$2 has no digest that docker could tell: $digest" >&2
        exit 1
        ;;
    esac
}

resolve PYTHON_DIGEST python:3.11-slim-bookworm
resolve BUILD_DIGEST python:3.11-bookworm
resolve GO_DIGEST golang:1.26-bookworm
