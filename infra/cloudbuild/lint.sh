#!/bin/sh
# Lint the workflows with actionlint, built from its Go module. Usage: infra/cloudbuild/lint.sh
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/bin
if ! [ -x build/bin/actionlint ]; then
    GOBIN=$PWD/build/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
fi
build/bin/actionlint -no-color .github/workflows/*.yml
echo "actionlint: clean"
