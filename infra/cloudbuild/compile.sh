#!/bin/sh
# Compile both pipelines for images given by digest, into build/pipelines/KIND.json and .yaml.
# Usage: infra/cloudbuild/compile.sh CONFIG [IMAGES.env]
#
# The .json is a whole job, for platewise submit --spec; the .yaml the specification, for the registry.
set -eu
cd "$(dirname "$0")/../.."
config=$1
images=${2:-build/images.env}
components=$(sed -n 's/^COMPONENTS_IMAGE=//p' "$images")
trainer=$(sed -n 's/^TRAINER_IMAGE=//p' "$images")
case $components,$trainer in
*@sha256:*,*@sha256:*) ;;
*)
    echo "$images names no COMPONENTS_IMAGE and TRAINER_IMAGE by digest" >&2
    exit 1
    ;;
esac
mkdir -p build/pipelines
for kind in training scoring; do
    .venv/bin/platewise compile --config "$config" --kind "$kind" \
        --vertex.image "$components" --vertex.training.image "$trainer" \
        -o "build/pipelines/$kind.json"
    .venv/bin/python -c 'import json, sys
from pipelines.vertex.compile import write
write(json.load(open(sys.argv[1])), sys.argv[2])' "build/pipelines/$kind.json" "build/pipelines/$kind.yaml"
done
