"""A week of usage on two machines in which every kind of knowing occurs: exact, lower bound, zero, and not reported."""

from datetime import UTC, datetime

from machine import Machine
from trueup_shared import keys
from trueup_shared.metrics import BIT
from trueup_shared.wire import EventBody, MessageBody, SessionBody

FIRST, LAST = "2026-11-02", "2026-11-08"
EMPTY_DAY, UNREPORTED_DAY, ZERO_DAY = "2026-11-04", "2026-11-05", "2026-11-06"

CLAUDE = {"harness": "claude", "provider": "anthropic", "model": "claude-sonnet-4-5-20250929", "project": "website"}
CODEX = {"harness": "codex", "provider": "openai", "model": "gpt-5-codex", "project": "compiler"}


def at(day: str, hour: int = 12) -> int:
    """Microseconds UTC."""
    return int(datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC).timestamp()) * 1_000_000


def session(name: str, day: str, dimensions: dict[str, str]) -> tuple[bytes, SessionBody]:
    harness, project = dimensions["harness"], dimensions["project"]
    key = keys.session_key(harness, name)
    return key, SessionBody(harness=harness, session_id=name, started_at=at(day), project=project)


def event(
    name: str, session_name: str, day: str, dimensions: dict[str, str], **counters: int
) -> tuple[bytes, EventBody]:
    key = keys.event_key(dimensions["harness"], name)
    session_key = keys.session_key(dimensions["harness"], session_name)
    return key, EventBody(session_key=session_key, at=at(day), time_quality=1, **dimensions, **counters)


def message(name: str, session_name: str, day: str, dimensions: dict[str, str]) -> tuple[bytes, MessageBody]:
    harness, project = dimensions["harness"], dimensions["project"]
    key, session_key = keys.message_key(harness, name), keys.session_key(harness, session_name)
    body = MessageBody(
        session_key=session_key, at=at(day), role="user", kind="prompt", harness=harness, project=project
    )
    return key, body


async def fill(desk: Machine, laptop: Machine) -> None:
    """Reasoning is reported by nobody; cache writes are reported as 0; one output is a lower bound."""
    full = {"input_tokens": 1_200, "cache_read_tokens": 250_000, "cache_write_tokens": 0}
    await desk.push(
        [
            session("spring-cleaning", FIRST, CLAUDE),
            *(message(f"m{n}", "spring-cleaning", FIRST, CLAUDE) for n in range(12)),
            event("e1", "spring-cleaning", FIRST, CLAUDE, **full, output_tokens=4_321),
            event(
                "e2",
                "spring-cleaning",
                "2026-11-03",
                CLAUDE,
                **full,
                output_tokens=99,
                lower_bounds=BIT["output_tokens"],
            ),
            event("e3", "spring-cleaning", LAST, CLAUDE, **full, output_tokens=77_000),
        ]
    )
    await laptop.push(
        [
            session("bootstrapping", "2026-11-03", CODEX),
            session("a-quiet-one", UNREPORTED_DAY, CODEX),
            event("c1", "bootstrapping", "2026-11-03", CODEX, **full, output_tokens=10_000),
            event("c2", "a-quiet-one", UNREPORTED_DAY, CODEX),
            event(
                "c3",
                "bootstrapping",
                ZERO_DAY,
                CODEX,
                input_tokens=0,
                cache_read_tokens=0,
                cache_write_tokens=0,
                output_tokens=0,
            ),
        ]
    )
