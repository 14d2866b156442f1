"""Made-up usage as nine harnesses report it, each in its own way, day after day up to this one.

The same in every run but for the dates: the last day is today, so that "the last 30 days" has something to show.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from trueup_shared import keys, wire
from trueup_shared.metrics import BIT
from trueup_shared.wire import EventBody, MessageBody, SessionBody

Row = tuple[bytes, wire.Body]
Counters = dict[str, Any]

SECOND = 1_000_000
TODAY = datetime.now(UTC).date()
DAYS = 90
FIRST, LAST = TODAY - timedelta(DAYS - 1), TODAY
QUIET_DAYS = (60, 61, 62)  # so many days before the last: nobody works
_TOOLS = ("Bash", "Read", "Edit", "Grep", "WebFetch")


class Harness(Struct, frozen=True):
    """`report`: what a request says of itself, from (random numbers, what the context holds, what it wrote)."""

    provider: str
    models: Sequence[str]  # the first more often than the others
    report: Callable[[random.Random, int, int], Counters]


def _claude(rng: random.Random, context: int, wrote: int) -> Counters:
    """Everything; now and then an answer was cut off, and its output is what was seen of it."""
    fresh, written = rng.randrange(3, 60), rng.randrange(200, 4_000)
    said = {"input_tokens": fresh, "cache_read_tokens": context, "cache_write_tokens": written, "output_tokens": wrote}
    if rng.random() < 0.1:
        said["cache_write_1h_tokens"] = written // 2
    if rng.random() < 0.06:
        said["lower_bounds"] = BIT["output_tokens"]
    return said | {"context_tokens": fresh + context + written}


def _codex(rng: random.Random, context: int, wrote: int) -> Counters:
    fresh = rng.randrange(200, 3_000)
    said = {"input_tokens": fresh, "cache_read_tokens": context, "cache_write_tokens": 0, "output_tokens": wrote}
    return said | {"reasoning_tokens": wrote * rng.randrange(60) // 100, "context_tokens": fresh + context}


def _gemini(rng: random.Random, context: int, wrote: int) -> Counters:
    return {"input_tokens": context, "cache_read_tokens": context // 3, "output_tokens": wrote, "reasoning_tokens": 0}


def _cursor(rng: random.Random, context: int, wrote: int) -> Counters:
    """Never what was written."""
    return {"input_tokens": rng.randrange(500, 9_000), "cache_read_tokens": context}


def _aider(rng: random.Random, context: int, wrote: int) -> Counters:
    """Rounded down, as "4.2k sent" leaves it."""
    both = BIT["input_tokens"] | BIT["output_tokens"]
    cost = {"reported_cost": f"0.0{rng.randrange(1, 90):02}", "reported_cost_unit": "usd"}
    said = {"input_tokens": context // 100 * 100, "output_tokens": wrote // 100 * 100, "lower_bounds": both}
    return said | cost | {"reported_cost_status": "estimated"}


def _copilot(rng: random.Random, context: int, wrote: int) -> Counters:
    """Fresh and cached input in one number."""
    return {"input_undivided_tokens": context, "output_tokens": wrote}


def _warp(rng: random.Random, context: int, wrote: int) -> Counters:
    """One number for everything, and credits."""
    credits = {"reported_cost": str(rng.randrange(1, 9)), "reported_cost_unit": "credits"}
    return {"undivided_tokens": context + wrote, **credits, "reported_cost_status": "reported"}


def _zed(rng: random.Random, context: int, wrote: int) -> Counters:
    """By subtraction, of a running total."""
    both = BIT["input_tokens"] | BIT["output_tokens"]
    return {"input_tokens": context, "output_tokens": wrote, "derived": both}


def _opencode(rng: random.Random, context: int, wrote: int) -> Counters:
    """A model of one's own, which has no list price."""
    said = {"input_tokens": rng.randrange(100, 4_000), "cache_read_tokens": context, "output_tokens": wrote}
    return said | {"reasoning_tokens": wrote // 4, "context_tokens": context + 4_000}


HARNESSES = {
    "claude": Harness(
        "anthropic",
        ("claude-sonnet-4-5-20250929", "claude-opus-4-5-20251101", "claude-haiku-4-5-20251001"),
        _claude,
    ),
    "codex": Harness("openai", ("gpt-5.1-codex", "gpt-5.1-codex-mini"), _codex),
    "gemini": Harness("google", ("gemini-3-pro-preview", "gemini-2.5-flash"), _gemini),
    "cursor": Harness("cursor", ("cursor-auto",), _cursor),
    "aider": Harness("anthropic", ("claude-3-7-sonnet-20250219",), _aider),
    "copilot": Harness("openai", ("gpt-4.1",), _copilot),
    "warp": Harness("warp", ("auto-performance",), _warp),
    "zed": Harness("anthropic", ("claude-sonnet-4-5-20250929",), _zed),
    "opencode": Harness("ollama", ("qwen3-coder-30b-a3b", "gpt-oss-120b"), _opencode),
}


class Session(Struct, frozen=True, kw_only=True):
    """`name`: the producer's own id of it. `series`: its requests count all or none (running totals)."""

    harness: str
    name: str
    at: int  # microseconds
    turns: int
    project: str | None = None
    models: Sequence[str] = ()  # else those of its harness
    parent: bytes | None = None
    relationship: str | None = None
    context: int = 8_000  # at first
    flags: int | None = None

    @property
    def key(self) -> bytes:
        return keys.session_key(self.harness, self.name)


def moment(days_ago: int, hour: int, minute: int = 0) -> int:
    at = datetime.combine(TODAY - timedelta(days_ago), time(hour, minute), UTC)
    return int(at.timestamp()) * SECOND


def rows_of(rng: random.Random, session: Session) -> Iterator[Row]:
    """A session, and for each turn a request with its answer, for every third one a prompt."""
    harness, about = session.harness, {"harness": session.harness, "project": session.project}
    models = session.models or HARNESSES[harness].models
    yield (
        session.key,
        SessionBody(
            **about,
            session_id=session.name,
            started_at=session.at,
            parent_key=session.parent,
            relationship=session.relationship,
            git_branch="main",
            harness_version="2.1.0",
        ),
    )
    at, context = session.at, session.context
    for turn in range(session.turns):
        name = f"{session.name}/{turn}"
        if turn % 3 == 0:
            body = MessageBody(session_key=session.key, at=at, role="user", kind="prompt", size_chars=240, **about)
            yield keys.message_key(harness, f"{name} asked"), body
        at += rng.randrange(8, 90) * SECOND
        wrote = int(rng.lognormvariate(5.8, 1.1)) + 1
        model = models[0] if len(models) == 1 or rng.random() < 0.6 else rng.choice(models)
        event = keys.event_key(harness, name)
        yield event, _request(rng, session, model, at, context, wrote)
        answer = MessageBody(
            **about,
            session_key=session.key,
            at=at,
            role="assistant",
            kind="answer",
            model=model,
            tool_names=[rng.choice(_TOOLS)] if turn % 2 else None,
            size_chars=wrote * 3,
            event_key=event,
        )
        yield keys.message_key(harness, f"{name} answered"), answer
        context = session.context if context > 90_000 else context + rng.randrange(600, 5_000)  # or it was compacted


def _request(rng: random.Random, session: Session, model: str, at: int, context: int, wrote: int) -> EventBody:
    harness = HARNESSES[session.harness]
    return EventBody(
        session_key=session.key,
        owner_key=keys.series_key(session.harness, session.name) if session.harness == "zed" else None,
        at=at,
        time_quality=1,
        harness=session.harness,
        provider=harness.provider,
        model=model,
        project=session.project,
        flags=session.flags,
        **harness.report(rng, context, wrote),
    )


def sessions(
    rng: random.Random, harnesses: Sequence[str], projects: Sequence[str | None], rate: float, *, until: int = 0
) -> Iterator[Session]:
    """So many on a working day, a fifth of them at weekends; up to `until` days ago."""
    for days_ago in range(DAYS - 1, until - 1, -1):
        if days_ago in QUIET_DAYS:
            continue
        weekend = (TODAY - timedelta(days_ago)).weekday() >= 5
        expected = rate / 5 if weekend else rate
        for _ in range(int(expected + rng.random())):
            yield Session(
                harness=rng.choice(harnesses),
                name=str(UUID(int=rng.getrandbits(128), version=4)),
                at=moment(days_ago, 0 if days_ago == 0 else rng.randrange(7, 20), rng.randrange(0, 59)),
                turns=1 if days_ago == 0 else rng.randrange(1, 12),  # today: at its very beginning
                project=rng.choice(projects),
            )
