"""The running total of a Droid session, as its settings have it (formats/droid.md, Tokens)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import json_text, series
from trueup_agent.harnesses.base import Files, Usage
from trueup_agent.harnesses.values import counter, plain, text
from trueup_agent.records import EventRecord
from trueup_shared import keys

COUNTERS = ("inputTokens", "outputTokens", "cacheCreationTokens", "cacheReadTokens", "thinkingTokens")
_TOTAL = "totalTokens"
_encode = msgspec.json.Encoder().encode


def read(raw: Mapping[str, Any]) -> Usage:
    """Both that read this format before us add thinking to output: kept raw, so that it can be derived anew."""
    plain, output, written, cached, thinking = (counter(raw.get(name)) for name in COUNTERS)
    if not any((plain, output, written, cached, thinking)):
        total = counter(raw.get(_TOTAL))
        return Usage(undivided_tokens=total) if total else Usage()
    return Usage(
        input_tokens=plain,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=None if output is None else output + (thinking or 0),
        reasoning_tokens=thinking,
    )


def of_raw(raw: bytes) -> Usage | None:
    try:
        found = json_text.decode(raw)
    except json_text.UNREADABLE:
        return None
    return read(found) if isinstance(found, dict) else None


def settings(files: Files, path: Path) -> Mapping[str, Any] | None:
    """None where there are none, or nothing that can be read. Raises Unfinished where they are half-written."""
    content = files.read(path)
    if content is None:
        return None
    try:
        found = json_text.decode_document(content)
    except json_text.UNREADABLE:
        return None
    return found if isinstance(found, Mapping) else None


def observed(
    harness: str, session_id: str, told: Mapping[str, Any], at: int, time_quality: int, started: int, cwd: str | None
) -> EventRecord | None:
    """What the total was when it was seen; None where there is none yet."""
    found = told.get("tokenUsage")
    if not isinstance(found, Mapping):
        return None
    raw = {name: value for name in (*COUNTERS, _TOTAL) if (value := plain(found.get(name))) is not None}
    usage = read(raw)
    if not usage.reported():
        return None
    return series.observation(
        harness,
        [session_id],
        [counter(raw.get(name)) for name in (*COUNTERS, _TOTAL)],
        usage,
        session_key=keys.session_key(harness, session_id),
        at=at,
        time_quality=time_quality,
        provider=text(told.get("providerLock")),
        model=text(told.get("model")),
        project_path=cwd,
        session_started=started,
        raw_usage=_encode(raw),
    )
