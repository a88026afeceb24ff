#!/bin/sh
# Push both compiled pipelines as templates. Usage: infra/cloudbuild/push_templates.sh HOST TAG...
set -eu
cd "$(dirname "$0")/../.."
host=$1
shift
tags=
for tag in "$@"; do
    tags="$tags --tag $tag"
done
for kind in training scoring; do
    # Tags hold no spaces: the registry would refuse them.
    # shellcheck disable=SC2086
    .venv/bin/python infra/cloudbuild/template.py push "$host" "build/pipelines/$kind.yaml" $tags
done
