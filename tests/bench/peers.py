"""The peers that package registries have, pinned, in a folder of their own; and how each is run offline."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

AGENTSVIEW = "0.46.1"
CCUSAGE = "20.0.24"


def agentsview(folder: Path) -> list[str] | None:
    """The real binary, not its Python shim; None where it cannot be installed."""
    target = folder / "agentsview"
    binary = target / "agentsview" / "bin" / "agentsview"
    if not binary.exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), f"agentsview=={AGENTSVIEW}"]
        if subprocess.run(command, capture_output=True).returncode or not binary.exists():
            return None
    return [str(binary)]


def ccusage(folder: Path) -> list[str] | None:
    target = folder / "ccusage"
    binary = target / "node_modules/@ccusage/ccusage-linux-x64/bin/ccusage"
    if not binary.exists():
        npm = shutil.which("npm")
        if npm is None:
            return None
        target.mkdir(parents=True, exist_ok=True)
        packages = [f"ccusage@{CCUSAGE}", f"@ccusage/ccusage-linux-x64@{CCUSAGE}"]
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(target), *packages]
        if subprocess.run(command, capture_output=True).returncode or not binary.exists():
            return None
        binary.chmod(0o755)
    return [str(binary)]


def environment(home: Path, state: Path) -> dict[str, str]:
    """Nothing of this machine but the corpus: no network, no update check, no daemon, UTC."""
    return {
        "PATH": os.environ["PATH"],
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(state / "config"),
        "XDG_CACHE_HOME": str(state / "cache"),
        "XDG_DATA_HOME": str(state / "data"),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "CODEX_HOME": str(home / ".codex"),
        "GEMINI_DATA_DIR": str(home / ".gemini/tmp"),
        "AGENTSVIEW_DATA_DIR": str(state / "agentsview"),
        "AGENTSVIEW_DISABLE_UPDATE_CHECK": "1",
        "AGENTSVIEW_TELEMETRY_ENABLED": "0",
        "AGENTSVIEW_NO_DAEMON": "1",
        "DO_NOT_TRACK": "1",
    }
