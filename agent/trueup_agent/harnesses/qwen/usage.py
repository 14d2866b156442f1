"""`usageMetadata` of a Qwen Code record to canonical counters (formats/qwen.md, Tokens).

The names are Gemini's whatever the backend; what they include is not.
"""

from collections.abc import Mapping
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.gemini import usage as gemini
from trueup_agent.harnesses.values import counter, text
from trueup_shared.metrics import BIT, MAX_COUNTER

PROMPT, CACHED, OUTPUT = "promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount"
THOUGHTS, TOTAL = "thoughtsTokenCount", "totalTokenCount"
AUTH = "auth_type"  # of the telemetry event of the same request
_COUNTERS = (PROMPT, CACHED, OUTPUT, THOUGHTS, TOTAL)
_GOOGLE = ("gemini", "vertex", "google")  # what the auth types of Google's own backends contain


def kept(metadata: Any, auth: str | None = None) -> dict[str, Any] | None:
    """Counters that are numbers, and what the mapping needs beside them: what is stored as raw usage."""
    if not isinstance(metadata, Mapping):
        return None
    counters: dict[str, Any] = {name: n for name in _COUNTERS if (n := counter(metadata.get(name))) is not None}
    return counters | {AUTH: auth} if counters and auth else counters


def is_google(auth: str | None) -> bool:
    return auth is not None and any(name in auth for name in _GOOGLE)


def of_metadata(said: Mapping[str, Any]) -> Usage:
    """The prompt includes what was cached. Whether thoughts are part of the candidates, the total tells."""
    prompt, cached, output, thoughts, total = (said.get(name) for name in _COUNTERS)
    if not (prompt or output or thoughts or total):
        return Usage()
    if not prompt and not output and total:
        return Usage(undivided_tokens=total)
    usage = Usage(cache_read_tokens=cached, reasoning_tokens=thoughts, context_tokens=prompt)
    if prompt is not None and (cached or 0) <= prompt:
        usage.input_tokens = prompt - (cached or 0)
    if output is not None:
        usage.output_tokens = min(output + _thoughts_on_top(said), MAX_COUNTER)
    if _is_invented(prompt, output, total) and not cached and not thoughts:
        usage.derived = BIT["input_tokens"] | BIT["output_tokens"]
    return usage


def _thoughts_on_top(said: Mapping[str, Any]) -> int:
    prompt, output, thoughts, total = (said.get(name, 0) for name in (PROMPT, OUTPUT, THOUGHTS, TOTAL))
    apart = total == prompt + output + thoughts if TOTAL in said else is_google(said.get(AUTH))
    return int(thoughts) if apart else 0


def _is_invented(prompt: int | None, output: int | None, total: int | None) -> bool:
    """Of a backend that reports a total alone the producer calls 70 % prompt and the rest output."""
    if not total or prompt is None:
        return False
    return prompt == int(total * 0.7) and output == total - prompt


def contradicts(usage: Usage) -> bool:
    """More was cached than there was to read."""
    return usage.context_tokens is not None and usage.input_tokens is None


def of_raw(raw: bytes) -> Usage | None:
    """Of a record, or of a message of the first releases, which wrote as Gemini CLI does."""
    said = json_text.object_of(raw)
    if said is None:
        return None
    metadata = kept(said, text(said.get(AUTH)))
    return of_metadata(metadata) if metadata else gemini.of_raw(raw)
