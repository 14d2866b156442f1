"""Writes docs/harnesses.md from what the harnesses say of themselves (`make harnesses`)."""

from pathlib import Path

from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Harness
from trueup_shared.metrics import COUNTERS

TARGET = Path(__file__).parents[1] / "docs" / "harnesses.md"

HEAD = """\
# Harnesses

Generated from the code by `make harnesses`; `trueup agent doctor` says the same of a machine, with what it found there.

`●` the log gives the counter of each request; `◐` in part, as a lower bound or by subtraction (the words are below);
`–` the log does not have it, so it is unknown and never shown as 0. Input is what was billed at the plain rate, output
includes reasoning. *Unverified* means built from descriptions alone: no real recording was at hand, so its tests prove
only that the description was followed. The data version is raised when a change of the parser alters numbers.

"""

SHORT = {
    "input_tokens": "input",
    "cache_read_tokens": "cache read",
    "cache_write_tokens": "cache write",
    "cache_write_1h_tokens": "of it 1 h",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
    "input_undivided_tokens": "input undivided",
    "undivided_tokens": "undivided",
    "context_tokens": "context",
}


def document() -> str:
    columns = [SHORT[name] for name in COUNTERS]
    lines = [
        f"| id | harness | {' | '.join(columns)} | data version | evidence |",
        f"|---|---|{'---|' * len(columns)}---|---|",
        *(_row(harness) for harness in HARNESSES.values()),
        "",
        *(line for harness in HARNESSES.values() for line in _section(harness)),
    ]
    return HEAD + "\n".join(lines).rstrip() + "\n"


def _row(harness: Harness) -> str:
    about = harness.about
    marks = [_mark(about.counters.get(name)) for name in COUNTERS]
    evidence = "recordings" if about.verified else "unverified"
    name = f"[{about.name}](#{harness.id})"
    return f"| `{harness.id}` | {name} | {' | '.join(marks)} | {harness.data_version} | {evidence} |"


def _mark(how: str | None) -> str:
    return "–" if how is None else "●" if how == "exact" else "◐"


def _section(harness: Harness) -> list[str]:
    about = harness.about
    in_part: dict[str, list[str]] = {}  # in the same words: their names
    for name in COUNTERS:
        if (how := about.counters.get(name, "exact")) != "exact":
            in_part.setdefault(how, []).append(SHORT[name])
    return [
        f'<a id="{harness.id}"></a>',
        f"## {about.name}",
        "",
        f"- Sources: {about.sources}.",
        *([f"- Variables: {', '.join(f'`{name}`' for name in about.variables)}."] if about.variables else []),
        *(["- In part:"] if in_part else []),
        *(f"    - {', '.join(names)}: {how}." for how, names in in_part.items()),
        *([f"- Not logged: {'; '.join(about.undercounts)}."] if about.undercounts else []),
        "",
    ]


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
