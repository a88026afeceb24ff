#!/bin/sh
# Make .venv from requirements.lock: exact versions, checked hashes, nothing resolved.
# Usage: infra/lock/install.sh [VENV]
set -eu
cd "$(dirname "$0")/../.."
venv=${1:-.venv}

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Platewise needs Python 3.11 and found none (TFX 1.21 runs on no other version)." >&2
    echo "Debian 12: apt install python3.11 python3.11-venv. Or name one: make PYTHON=/path/to/python3.11 ..." >&2
    exit 1
}

python=$(find_python)
if ! "$python" -m venv "$venv" >"/tmp/platewise-venv.$$" 2>&1; then
    cat "/tmp/platewise-venv.$$" >&2
    rm -f "/tmp/platewise-venv.$$"
    echo "Could not make a virtual environment with $python. On Debian and Ubuntu: apt install python3.11-venv" >&2
    exit 1
fi
rm -f "/tmp/platewise-venv.$$"

echo "Installing $(grep -c '==' requirements.lock) locked packages into $venv (about 3 GB; a minute or a few) ..."
# The one package that pip installs is uv, from the lock itself; uv installs the rest in seconds.
sed -n '/^uv==/,/[^\\]$/p' requirements.lock >"$venv/uv.lock"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$venv/uv.lock"
# Python compiles each module once and keeps that. Where it is told not to, every command would
# compile TensorFlow and TFX anew and take 24 seconds to start instead of 9.
compile=
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
    echo "PYTHONDONTWRITEBYTECODE is set: compiling them now, which takes a minute more."
    compile=--compile-bytecode
fi
if ! "$venv/bin/uv" pip install --quiet $compile --python "$venv/bin/python" \
    --no-deps --require-hashes -r requirements.lock; then
    # pip knows index settings that uv does not read (pip.conf, PIP_INDEX_URL).
    echo "uv could not install the lock; trying pip, which takes a few minutes." >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
if ! ls components/plate_example_gen/_kernels*.so >/dev/null 2>&1; then
    echo "Found no C compiler: ingest gives the same results, in half as long again. To change that: install gcc, rm $venv/.installed, make setup." >&2
fi
touch "$venv/.installed"
