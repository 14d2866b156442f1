"""The golden data of each harness as a home on the disk, for tests that go over all harnesses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backports import zstd

import antigravity_files
import copilot_files
import cursor_files
import kiro_files
import opencode_store
import vscode_chats
from databases import GOLDEN, write
from trueup_agent.harnesses import HARNESSES

# Where a database lies whose tables are the golden data.
_DATABASES = {
    "crush": ".crush/crush.db",
    "forge": ".forge/.forge.db",
    "goose": ".local/share/goose/sessions/sessions.db",
    "hermes": ".hermes/state.db",
    "piebald": ".local/share/piebald/app.db",
    "warp": ".local/state/warp-terminal/warp.sqlite",
    "zed": ".local/share/zed/threads/threads.db",
}


def golden_home(harness: str, target: Path) -> Path:
    """A home, or whatever else `--root` takes, made below `target`, with the golden data of that harness."""
    root = target / "home"
    golden = GOLDEN / harness
    for name in ("home", "root"):
        if (golden / name).is_dir():
            shutil.copytree(golden / name, root)
            _BESIDE.get(harness, lambda root: None)(root)
            return root
    maker = _MAKERS.get(harness)
    if maker is not None:
        maker(root, harness)
    elif (golden / "tables.json").is_file():
        write(root / _DATABASES[harness], _read(golden / "tables.json"))
    else:
        shutil.copytree(golden, root)
    return root


# Where golden data lies in a user's home that is not laid out as one.
_PLACES = {"claude": ".claude", "codex": ".codex/sessions", "aider": "src"}


def home_of_all(target: Path) -> Path:
    """One home with the golden data of every harness; `[harness.aider] roots` has to name its `src`."""
    home = target / "home"
    for harness in HARNESSES:
        made = golden_home(harness, target / harness)
        shutil.copytree(made, home / _PLACES.get(harness, ""), dirs_exist_ok=True)
    return home


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _zed(root: Path, harness: str) -> None:
    rows = _read(GOLDEN / harness / "threads.json")
    for row in rows:
        data = json.dumps(row["data"]).encode()
        row["data"] = zstd.compress(data) if row["data_type"] == "zstd" else data
    write(root / _DATABASES[harness], {"threads": rows})


def _opencode(root: Path, harness: str) -> None:
    opencode_store.database(root / f".local/share/{harness}/{harness}.db", *_read(GOLDEN / harness / "sessions.json"))


def _copilot(root: Path) -> None:
    copilot_files.store(root, [copilot_files.row(n, 1000 * n, 100, 800) for n in (1, 2)])
    home = root / ".copilot"
    for name, content in _COPILOT_FILES.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(json.dumps(content) + "\n", encoding="utf-8")


_COPILOT_FILES = {
    "otel/export.jsonl": {
        "traceId": "t1",
        "spanId": "s1",
        "endTime": [copilot_files.START // 1_000_000, 0],
        "attributes": {
            "gen_ai.operation.name": "chat",
            "gen_ai.conversation.id": "other",
            "gen_ai.provider.name": "github",
            "gen_ai.usage.input_tokens": 50,
            "gen_ai.usage.output_tokens": 5,
            "github.copilot.nano_aiu": 7,
        },
    },
    "history-session-state/h.json": {
        "sessionId": "h",
        "startTime": copilot_files.stamp(0),
        "chatMessages": [{"role": "assistant", "content": "x", "tool_calls": [{"function": {"name": "bash"}}]}],
    },
}


def _vscode(root: Path) -> None:
    chat = vscode_chats.state(vscode_chats.request(1, 5, 5), session="other")
    vscode_chats.document(root, chat, name="other")
    written = ("s1", "gen_ai.usage.cache_creation.input_tokens", "3")
    spans = (vscode_chats.span(1, 100, 10, 50, chat_session_id="third"), vscode_chats.span(2, chat_session_id="third"))
    vscode_chats.spans(root, *spans, attributes=(written,))


def _kiro(root: Path) -> None:
    kiro_files.database(root, ("/a", "c", kiro_files.conversation("c", "m1", "m2", used=[0.5]), 5))
    used = [{"usage": 1, "unit": "credit"}]
    at = kiro_files.START * 1000
    kiro_files.execution(root, "5e5510/0e0e", executionId="x", startTime=at, endTime=at + 5, usageSummary=used)
    kiro_files.execution(root, "0e0e.chat", executionId="x", chat=[{"role": "human", "content": "fix"}])


# What lies beside the golden data: sources of other kinds, which their figures leave out.
_BESIDE: dict[str, Callable[[Path], object]] = {"copilot": _copilot, "vscode-copilot": _vscode, "kiro": _kiro}

_MAKERS: dict[str, Callable[[Path, str], object]] = {
    "antigravity": lambda root, harness: antigravity_files.golden_home(root),
    "cursor": lambda root, harness: cursor_files.golden_home(root),
    "kilo": _opencode,
    "opencode": _opencode,
    "zed": _zed,
}
