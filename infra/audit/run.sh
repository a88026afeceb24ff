#!/bin/sh
# Bill of materials and vulnerability audit of requirements.lock, into build/audit.
# Usage: infra/audit/run.sh [LOCK...]   (needs a network with the advisories of the package index)
set -eu
cd "$(dirname "$0")/../.."
out=build/audit
mkdir -p "$out"
# Tools in their own environments: what audits the lock is no part of it.
cyclonedx='cyclonedx-bom==7.5.0'
auditor='pip-audit==2.10.1'
status=0
for lock in "${@:-requirements.lock}"; do
    name=$(echo "$lock" | tr '/' '-')
    .venv/bin/uv tool run --quiet --from "$cyclonedx" cyclonedx-py requirements "$lock" \
        --output-reproducible --of JSON -o "$out/$name.sbom.json"
    # Ends with 1 where there are findings; audit.py judges them.
    .venv/bin/uv tool run --quiet --from "$auditor" pip-audit -r "$lock" --no-deps --disable-pip \
        --progress-spinner off --format json -o "$out/$name.findings.json" || true
    echo "$lock:"
    .venv/bin/python infra/audit/audit.py "$out/$name.findings.json" --lock "$lock" || status=$?
done
exit "$status"
