"""Aider's numbers: as it prints them, and as its analytics log has them (formats/aider.md)."""

import math
import re
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.harnesses.values import amount, counter
from trueup_shared.keys import key
from trueup_shared.metrics import BIT

_NUMBER = r"\d[\d,]*(?:\.\d+)?[kKmM]?"
_TOKENS = re.compile(
    rf"Tokens: ({_NUMBER}) sent(?:, ({_NUMBER}) cache write)?(?:, ({_NUMBER}) (?:cache hit|cached))?"
    rf", ({_NUMBER}) received\b\.?(.*)"
)
_COST = re.compile(r"\s*Cost: \$(\d[\d,]*(?:\.\d+)?) (?:message|request|send), \$(\d[\d,]*(?:\.\d+)?) session\b")
_SCALE = {"k": 1000, "m": 1_000_000}


class Printed(NamedTuple):
    """A line of tokens, word by word. Cache figures are those of the last request alone: notes."""

    sent: str
    received: str
    cache_write: str | None = None
    cache_hit: str | None = None
    cost: str | None = None
    session_cost: str | None = None

    def awaits_cost(self) -> bool:
        """With both cache figures the cost is printed on the next line."""
        return self.cost is None and self.cache_write is not None and self.cache_hit is not None


def read_tokens(line: str) -> Printed | None:
    match = _TOKENS.match(line)
    if match is None:
        return None
    sent, written, hit, received, rest = match.groups()
    return with_cost(Printed(sent, received, written, hit), rest)


def with_cost(printed: Printed, text: str) -> Printed:
    match = _COST.match(text)
    return printed if match is None else printed._replace(cost=match[1], session_cost=match[2])


def cost_of(printed: Printed) -> str | None:
    return None if printed.cost is None else amount(float(printed.cost.replace(",", "")))


def raw_of(printed: Printed) -> dict[str, str]:
    return {name: value for name, value in printed._asdict().items() if value is not None}


def family_of_printed(printed: Printed) -> bytes:
    """What a printed line and a record of the log about the same request have in common: how it is printed."""
    costs = [cost if cost is not None and float(cost.replace(",", "")) else "" for cost in printed[-2:]]
    return key("family", "aider", printed.sent, printed.received, *costs)


def family_of_logged(properties: dict[str, Any]) -> bytes | None:
    sent, received = counter(properties.get("prompt_tokens")), counter(properties.get("completion_tokens"))
    if sent is None or received is None:
        return None
    costs = [_printed_cost(properties.get(name)) for name in ("cost", "total_cost")]
    return key("family", "aider", _printed_tokens(sent), _printed_tokens(received), *costs)


def read_usage(raw: Any) -> Usage | None:
    """Of either form. None where it reports nothing."""
    if not isinstance(raw, dict):
        return None
    if "sent" not in raw and "received" not in raw:
        sent, received = counter(raw.get("prompt_tokens")), counter(raw.get("completion_tokens"))
        return Usage(input_undivided_tokens=sent, output_tokens=received) if sent or received else None
    sent, received = _tokens(raw.get("sent")), _tokens(raw.get("received"))
    if not (sent or received):
        return None
    bounds = BIT["input_undivided_tokens"] if _is_rounded(raw.get("sent")) else 0
    bounds |= BIT["output_tokens"] if _is_rounded(raw.get("received")) else 0
    return Usage(input_undivided_tokens=sent, output_tokens=received, lower_bounds=bounds)


def of_raw(raw: bytes) -> Usage | None:
    try:
        return read_usage(msgspec.json.decode(raw))
    except UNREADABLE:
        return None


def _tokens(said: Any) -> int | None:
    if not isinstance(said, str) or not re.fullmatch(_NUMBER, said) or len(said) > 32:
        return None
    digits, scale = said.replace(",", ""), _SCALE.get(said[-1].lower(), 1)
    return counter(int(Decimal(digits[:-1] if scale > 1 else digits) * scale))


def _is_rounded(said: Any) -> bool:
    return isinstance(said, str) and said.lower().endswith(tuple(_SCALE))


def _printed_tokens(count: int) -> str:
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 10_000 else f"{round(count / 1000)}k"


def _printed_cost(value: Any) -> str:
    """Two digits after the point, or two that are not 0; nothing where the model has no price."""
    if type(value) not in (int, float) or not value or not math.isfinite(value):
        return ""
    magnitude = abs(value)
    digits = 2 if magnitude >= 0.01 else max(2, 2 - int(math.log10(magnitude)))
    return f"{value:.{digits}f}"
