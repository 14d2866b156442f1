"""Writes aider's histories and analytics logs for tests, and sets the zone that its local times are in."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HISTORY = Path("/home/ana/shop/.aider.chat.history.md")
STARTED = "2026-06-09 14:01:00"


@contextmanager
def set_zone(name: str) -> Iterator[None]:
    """The machine's zone, for as long as it lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def in_utc() -> Iterator[None]:
    with set_zone("UTC"):
        yield


def run(*lines: str, started: str = STARTED, model: str = "anthropic/claude-sonnet-4-6") -> list[bytes]:
    head = ["", f"# aider chat started at {started}", "", f"> Main model: {model} with diff edit format  ", ""]
    return [line.encode() for line in (*head, *lines)]


def tokens(sent: str = "4.2k", received: str = "310", cost: str = "0.02", session: str = "0.07") -> str:
    return f"> Tokens: {sent} sent, {received} received. Cost: ${cost} message, ${session} session.  "


def message(prompt: str = "fix it", answer: str = "Done.", line: str | None = None) -> list[str]:
    return [f"#### {prompt}  ", "", answer, "", tokens() if line is None else line]


def logged(event: str, at: int, user: str = "u1", **properties: Any) -> bytes:
    return json.dumps({"event": event, "properties": properties, "user_id": user, "time": at}).encode()


def sent(at: int, prompt: int, completion: int, cost: float, total: float, **more: Any) -> bytes:
    counters = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    counted = counters | {"main_model": "gpt-4o", "cost": cost, "total_cost": total} | more
    return logged("message_send", at, **counted)
