#!/bin/sh
# Rebuild the trainer image's locks: trainer.lock (what every variant installs) and
# trainer-{tpu,gpu,cpu}.lock (what one variant adds). Hashes, no index addresses.
set -eu
cd "$(dirname "$0")"
uv=${UV:-../../.venv/bin/uv}
python=${PYTHON:-../../.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The versions that the components' image has, so that both read and write the same formats; of
# TensorFlow and what is released with it the trainer has its own.
sed -n 's/^\([A-Za-z0-9._-]*\)\(\[[^]]*\]\)\{0,1\}\(==[^ ]*\).*/\1\3/p' ../../requirements.lock |
    grep -v '^tensor' >"$work/constraints.txt"

for variant in tpu gpu cpu; do
    "$uv" pip compile trainer.in "trainer-$variant.in" --constraint "$work/constraints.txt" \
        --python-version 3.11 --python-platform x86_64-manylinux_2_36 \
        --generate-hashes --no-header --no-annotate --no-emit-index-url \
        --quiet --output-file "$work/$variant.lock" "$@"
done
"$python" runtime_lock.py --common "$work/tpu.lock" "$work/gpu.lock" "$work/cpu.lock" >"$work/trainer.lock"
for variant in tpu gpu cpu; do
    "$python" runtime_lock.py --without "$work/trainer.lock" "$work/$variant.lock" >"trainer-$variant.lock"
done
cp "$work/trainer.lock" trainer.lock
grep -c == trainer*.lock
