#!/bin/sh
# Fetch what `make test-flink` runs on: Beam's Flink runner with Flink (Maven), Beam's Prism runner
# and the boot program of its Python container (Go). Every version is pinned; Maven refuses a file
# whose checksum is wrong, and Go asks its checksum database.
#
# usage: setup.sh FOLDER   (later runs only check that it is complete)
set -eu

folder=$1
here=$(cd "$(dirname "$0")" && pwd)
beam=$(sed -n 's/^apache-beam==\([0-9.]*\).*/\1/p' "$here/../../requirements.lock")
plugin=org.apache.maven.plugins:maven-dependency-plugin:2.8

missing=
for tool in java mvn go; do
    command -v "$tool" > /dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "missing:$missing (needed: Java 11 or 17, Maven 3, Go 1.26)" >&2
    exit 1
fi

wanted="$(cksum < "$here/pom.xml") beam $beam"
if [ "$(cat "$folder/installed" 2> /dev/null)" = "$wanted" ]; then
    exit 0
fi
echo "Fetching Flink, Beam's runners and Prism into $folder: 200 MB, 3 to 8 minutes, once"
rm -rf "$folder"
mkdir -p "$folder/bin"
folder=$(cd "$folder" && pwd)
mvn -q -B -C -f "$here/pom.xml" "$plugin:copy-dependencies" \
    -DincludeScope=runtime -DoutputDirectory="$folder/lib"
GOBIN="$folder/bin" go install "github.com/apache/beam/sdks/v2/go/cmd/prism@v$beam"
GOBIN="$folder/bin" go install "github.com/apache/beam/sdks/v2/python/container@v$beam"
mv "$folder/bin/container" "$folder/bin/boot"
echo "$wanted" > "$folder/installed"
