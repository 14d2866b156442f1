"""Task folders of Cline and its forks for tests: entries of a list of messages, files beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NOON = 1_782_892_800_000  # 2026-07-01T08:00:00Z in milliseconds
CLINE = ".config/Code/User/globalStorage/saoudrizwan.claude-dev"
ROO = ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline"
TASK = str(NOON)

Entry = dict[str, Any]


def say(kind: str, text: str | Mapping[str, Any] = "", seconds: float = 0, **fields: Any) -> Entry:
    words = text if isinstance(text, str) else json.dumps(text)
    return {"ts": NOON + round(seconds * 1000), "type": "say", "say": kind, "text": words, **fields}


def ask(kind: str, text: str | Mapping[str, Any] = "", seconds: float = 0, **fields: Any) -> Entry:
    entry = say(kind, text, seconds, **fields)
    return entry | {"type": "ask", "ask": entry.pop("say")}


def usage(tokens_in: int | None, out: int | None, reads: int | None = 0, writes: int | None = 0, **more: Any) -> Entry:
    """JSON of a request's text. None leaves a field out."""
    counted = {"tokensIn": tokens_in, "tokensOut": out, "cacheReads": reads, "cacheWrites": writes}
    return {"request": "...", **{name: n for name, n in counted.items() if n is not None}, **more}


def request(seconds: float, tokens_in: int | None = 14, out: int | None = 230, **more: Any) -> Entry:
    """A request; `model` and `provider` go into its modelInfo."""
    entry = say("api_req_started", usage(tokens_in, out, **{k: v for k, v in more.items() if k not in _MODEL}), seconds)
    if "model" in more:
        entry["modelInfo"] = {"modelId": more["model"], "providerId": more.get("provider", "anthropic"), "mode": "act"}
    return entry


_MODEL = {"model", "provider"}


def write_task(
    home: Path,
    entries: Sequence[Any],
    task: str = TASK,
    storage: str = CLINE,
    name: str = "ui_messages.json",
    **files: Any,
) -> Path:
    """The folder of a task; `files`: name without .json -> content."""
    folder = home / storage / "tasks" / task
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(list(entries)), encoding="utf-8")
    for stem, content in files.items():
        (folder / f"{stem}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def told(text: str, ts: int | None = None) -> Entry:
    """A message of the API history in which the extension tells the model of its surroundings."""
    details = {"type": "text", "text": f"<environment_details>\n{text}\n</environment_details>"}
    return {"role": "user", "content": [details], **({} if ts is None else {"ts": ts})}
