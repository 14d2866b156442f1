#!/bin/sh
# Write shared/trueup_shared/prices.json anew from genai-prices, installed in an environment of its own that goes away again.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'genai-prices>=0.2.3'
"$work/venv/bin/python" deploy/checkout/make_prices.py shared/trueup_shared/prices.json
