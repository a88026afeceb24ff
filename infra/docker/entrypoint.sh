#!/bin/sh
# Without a command, or with flags alone, this is a Beam worker: Dataflow and Flink start it with
# --id=... --provision_endpoint=... and so on. Otherwise it runs the command.
set -eu
case "${1-}" in
--*) ;;
*) exec "$@" ;;
esac
# boot stages files below --semi_persist_dir. Dataflow mounts that folder as root; where this user
# may not write there, they are staged in /tmp.
for argument in "$@"; do
    folder=${argument#--semi_persist_dir=}
    if [ "$folder" != "$argument" ] && ! mkdir -p "$folder/staged" 2>/dev/null; then
        echo "entrypoint: $folder is not writable for user $(id -u); staging in /tmp" >&2
        set -- "$@" --semi_persist_dir=/tmp
    fi
done
exec /opt/apache/beam/boot "$@"
