#!/bin/sh
# Rebuild requirements.lock: every version and hash, resolved with infra/lock/overrides.txt.
# Hashes, no index addresses: the lock installs from whichever index a machine is set up for.
set -eu
cd "$(dirname "$0")/../.."
uv=${UV:-.venv/bin/uv}
"$uv" pip compile pyproject.toml --all-extras \
    --override infra/lock/overrides.txt \
    --python-version 3.11 --python-platform x86_64-manylinux_2_36 \
    --generate-hashes --no-header --no-annotate --no-emit-index-url \
    --quiet --output-file requirements.lock "$@"
echo "requirements.lock: $(grep -c '==' requirements.lock) packages"
