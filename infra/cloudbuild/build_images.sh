#!/bin/sh
# Build and push the three images; write their addresses, by digest, into build/images.env.
# Usage: infra/cloudbuild/build_images.sh REPOSITORY TAG [VARIANT]
#
# REPOSITORY is Terraform's image_repository; VARIANT the trainer's: tpu (the default), gpu or cpu.
set -eu
cd "$(dirname "$0")/../.."
repository=$1
tag=$2
variant=${3:-tpu}
mkdir -p build
sh infra/cloudbuild/digests.sh >build/digests.env
cat build/digests.env

python=$(sed -n 's/^PYTHON_DIGEST=//p' build/digests.env)
full=$(sed -n 's/^BUILD_DIGEST=//p' build/digests.env)
go=$(sed -n 's/^GO_DIGEST=//p' build/digests.env)
revision=$(git rev-parse HEAD)
# The time of the commit, not of the build: two builds of one commit are the same.
epoch=$(git log -1 --format=%ct)
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
: >build/images.env

# Usage: build NAME arguments of docker buildx build ...
build() {
    name=$1
    shift
    docker buildx build --provenance=false --tag "$repository/$name:$tag" \
        --output type=image,push=true,rewrite-timestamp=true \
        --metadata-file "build/$name.json" --build-arg "PYTHON_DIGEST=$python" "$@"
    digest=$(sed -n 's/.*"containerimage.digest": *"\([^"]*\)".*/\1/p' "build/$name.json")
    [ -n "$digest" ] || { echo "docker told no digest of $name" >&2; exit 1; }
    echo "$(echo "$name" | tr '[:lower:]' '[:upper:]')_IMAGE=$repository/$name@$digest" >>build/images.env
}

build components --file infra/docker/components.Dockerfile --build-arg "BUILD_DIGEST=$full" \
    --build-arg "GO_DIGEST=$go" --build-arg "SOURCE_DATE_EPOCH=$epoch" \
    --build-arg "REVISION=$revision" --build-arg "CREATED=$created" .
build trainer --file infra/docker/trainer.Dockerfile --build-arg "VARIANT=$variant" \
    --build-arg "SOURCE_DATE_EPOCH=$epoch" --build-arg "REVISION=$revision" \
    --build-arg "CREATED=$created" .
build trigger infra/trigger
cat build/images.env
