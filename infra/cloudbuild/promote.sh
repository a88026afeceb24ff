#!/bin/sh
# Bring a commit that passed the gate on dev to prod: its images, by digest, and its pipelines,
# compiled for prod.
# Usage: infra/cloudbuild/promote.sh CONFIG DEV_HOST PROD_HOST DEV_IMAGES PROD_IMAGES COMMIT VERSION
set -eu
cd "$(dirname "$0")/../.."
config=$1 dev_host=$2 prod_host=$3 dev_images=$4 prod_images=$5 commit=$6 version=$7
mkdir -p build
# Fails where this commit never passed: there is no such tag.
.venv/bin/python infra/cloudbuild/template.py pull "$dev_host" platewise-training \
    "gated-$commit" build/gated.yaml

: >build/images.env
for name in components trainer; do
    source=$(.venv/bin/python infra/cloudbuild/template.py image build/gated.yaml "$dev_images/$name")
    # The same manifest under another name: its digest stays.
    docker buildx imagetools create --tag "$prod_images/$name:$version" "$source"
    echo "$(echo "$name" | tr '[:lower:]' '[:upper:]')_IMAGE=$prod_images/$name@${source#*@}" >>build/images.env
done
# No pipeline names the trigger's image; Terraform wants its digest, which this prints.
docker buildx imagetools create --tag "$prod_images/trigger:$version" "$dev_images/trigger:sha-$commit"
docker buildx imagetools inspect "$prod_images/trigger:$version" --format 'trigger: {{.Manifest.Digest}}'
cat build/images.env
sh infra/cloudbuild/compile.sh "$config" build/images.env
sh infra/cloudbuild/push_templates.sh "$prod_host" "$version" latest
