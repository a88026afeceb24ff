#!/bin/sh
# Run the compiled training pipeline on dev, wait for its end, bring its report, hold the gate to it,
# and mark both templates as having passed.
# Usage: infra/cloudbuild/try.sh CONFIG HOST COMMIT [ATTEMPT]
set -eu
cd "$(dirname "$0")/../.."
config=$1
host=$2
commit=$3
job=platewise-release-$(echo "$commit" | cut -c 1-12)-${4:-1}
.venv/bin/platewise submit --config "$config" --spec build/pipelines/training.json \
    --job-id "$job" --wait --timeout 300
.venv/bin/platewise fetch "$job" --config "$config" --out build/trial
.venv/bin/python infra/cloudbuild/gate.py build/trial/metrics.json
for kind in training scoring; do
    name=$(.venv/bin/python -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["pipelineInfo"]["name"])' \
        "build/pipelines/$kind.yaml")
    .venv/bin/python infra/cloudbuild/template.py tag "$host" "$name" "sha-$commit" "gated-$commit"
done
