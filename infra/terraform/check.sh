#!/bin/sh
# Format, validate and evaluate this configuration; nothing is created and no cloud is reached.
# Usage: infra/terraform/check.sh [--standin]
#
# Uses tofu or terraform from the path ($TERRAFORM names another), or builds OpenTofu with Go. Takes
# the real Google provider where its registry answers; otherwise, or with --standin, the one in
# standin/, which knows the same arguments but runs none of the provider's own checks.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build/terraform
tofu_version=v1.12.6
mkdir -p "$build/bin"

tool=${TERRAFORM:-$(command -v tofu || command -v terraform || echo "$build/bin/tofu")}
if ! [ -x "$(command -v "$tool")" ]; then
    echo "Neither tofu nor terraform is here: building OpenTofu $tofu_version with Go (5 to 10 minutes)."
    source=$(cd "$(mktemp -d)" && go mod download -json "github.com/opentofu/opentofu@$tofu_version" |
        sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    (cd "$source" && go build -o "$build/bin/tofu" ./cmd/tofu)
fi
echo "$("$tool" version | grep -E '^(Terraform|OpenTofu)') at $tool"

"$tool" fmt -check -recursive "$here"
echo "fmt: clean"

# A copy, so that nothing is left between the sources.
rm -rf "$build/work"
mkdir -p "$build/work"
cp -R "$here"/*.tf "$here/templates" "$here/tests" "$build/work"
cd "$build/work"
if [ "${1:-}" != --standin ] && "$tool" init -backend=false -input=false >init.log 2>&1; then
    echo "provider: the real one, $(grep -o 'hashicorp/google v[0-9.]*' init.log | head -n 1)"
else
    echo "provider: the stand-in$([ "${1:-}" = --standin ] || echo ', for the registry did not answer')"
    (cd "$here/standin" && go build -o "$build/provider/terraform-provider-google" .)
    printf 'provider_installation {\n  dev_overrides {\n    "hashicorp/google" = "%s/provider"\n  }\n  direct {}\n}\n' \
        "$(cd "$build" && pwd)" >"$build/cli.tfrc"
    export TF_CLI_CONFIG_FILE="$build/cli.tfrc"
fi
"$tool" validate -no-color >validate.log 2>&1 || { cat validate.log; exit 1; }
echo "validate: clean"
"$tool" test -no-color
