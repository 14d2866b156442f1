#!/bin/sh
# Make or refresh .venv from a lock file: `venv.sh requirements.lock [requirements-dev.lock]`. Run from the checkout's root.
# Makes no network call while the lock files are unchanged. Bare Debian has neither ensurepip nor a writable system Python.
set -eu

python=${PYTHON:-python3}
venv=.venv
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "trueup needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Set PYTHON=/path/to/python3.11" >&2
    exit 1
}

wanted=$(cat "$@" pyproject.toml | cksum; pwd)
stamp="$venv/.stamp-$(basename "$(eval echo "\${$#}")")"
if [ -x "$venv/bin/trueup" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import sys' 2>/dev/null; then
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        "$python" -m venv --without-pip "$venv" 2>/dev/null && "$python" -m pip --version >/dev/null 2>&1 || {
            rm -rf "$venv"
            echo "Python has neither venv nor pip here. On Debian and Ubuntu: apt install python3-venv" >&2
            exit 1
        }
    fi
fi

if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    pip() { "$venv/bin/python" -m pip "$@"; }
else
    pip() { "$python" -m pip --python "$venv/bin/python" "$@"; }
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_WARN_SCRIPT_LOCATION=1
echo "Installing the locked dependencies into $venv …"
for lock in "$@"; do
    pip install --quiet --require-hashes -r "$lock"
done
PATH="$PWD/$venv/bin:$PATH" pip install --quiet --no-deps --no-build-isolation --editable .
printf '%s\n' "$wanted" > "$stamp"
