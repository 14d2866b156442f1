#!/bin/sh
# Make sure that a browser for the tests is there: TRUEUP_BROWSER, else chromium on PATH, else apt as root, else
# Playwright's own download. Fails with the one command to run.
set -u

for browser in "${TRUEUP_BROWSER:-}" chromium-headless-shell chromium chromium-browser google-chrome; do
    [ -n "$browser" ] && command -v "$browser" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing a browser for the tests …"
    apt-get update -qq >/dev/null 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core \
        >/dev/null 2>&1 && exit 0
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1 && exit 0
fi
if .venv/bin/python -c 'from pathlib import Path; from playwright.sync_api import sync_playwright
with sync_playwright() as p: raise SystemExit(not Path(p.chromium.executable_path).exists())' 2>/dev/null; then
    exit 0
fi
.venv/bin/python -m playwright install chromium-headless-shell >/dev/null 2>&1 && exit 0
echo "No browser for the tests. Run: sudo apt-get install chromium-headless-shell   (or set TRUEUP_BROWSER, or: make test-nobrowser)" >&2
exit 1
