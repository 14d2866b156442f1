#!/bin/sh
# Resolve requirements.lock (run time and build) and requirements-dev.lock (tests too), with hashes, for every platform.
set -eu
uv=${UV:-uv}
build=$(mktemp)
trap 'rm -f "$build"' EXIT
printf 'hatchling\neditables\n' > "$build"
compile() {
    "$uv" pip compile pyproject.toml "$build" --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-annotate --quiet "$@"
}
compile --output-file requirements.lock
compile --extra dev --output-file requirements-dev.lock
