"""The file that holds a price table (written by `make prices`), read and checked.

JSON: `date`, `source`, and by vendor its models, each with what names it matches, dated prices, and dated prices that
hold in one mode only. Rates are [[prompt tokens above which it holds, picodollars], …], for a token or a search.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from trueup_shared.price_names import Mode

Kind = Literal["input", "cache_read", "cache_write", "cache_write_1h", "output", "web_search"]
KINDS: tuple[Kind, ...] = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "web_search")
Bands = tuple[tuple[int, int], ...]  # (prompt tokens above which it holds, picodollars), ascending from 0
Rates = dict[Kind, Bands]

MAX_RATE = 10**12  # picodollars: a dollar for one token is a broken table
MAX_FILE_BYTES = 16 * 1024 * 1024
_MAX_BANDS = 20  # each is looked at for each other
_MAX_DEPTH = 10  # of tests within tests
_MAX_SOURCE = 200  # characters: every /capabilities tells it

Clause = dict[str, Any]  # {"starts_with": "claude-"}, {"or": [clause, …]}


class PriceError(Exception):
    """A price table or overrides that cannot be used; one line: what is wrong and where."""


class Priced(Struct, frozen=True, forbid_unknown_fields=True):
    """Rates from a day on (UTC); null = since ever."""

    rates: Rates
    start: date | None = field(name="from")

    @property
    def at(self) -> int:
        return micros_of(self.start)


class Variant(Priced, frozen=True, forbid_unknown_fields=True):
    """Rates that take the place of others where a request was made in this mode."""

    when: Mode


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    match: Clause
    prices: tuple[Priced, ...]
    variants: tuple[Variant, ...] = ()

    def matches(self, name: str) -> bool:
        return _matches(self.match, name)


class Vendor(Struct, frozen=True, forbid_unknown_fields=True):
    """`match`: names that are this vendor's where nobody says so; null = none are."""

    id: str
    match: Clause | None
    models: tuple[Model, ...]

    def matches(self, name: str) -> bool:
        return self.match is not None and _matches(self.match, name)

    def find(self, name: str) -> Model | None:
        return next((model for model in self.models if model.matches(name)), None)


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    date: date
    source: str
    providers: tuple[Vendor, ...]


def micros_of(day: date | None) -> int:
    """The first moment of a day in UTC; 0 for none."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000 if day else 0


def read_table(content: bytes) -> Table:
    """PriceError says what is wrong where."""
    if len(content) > MAX_FILE_BYTES:
        raise PriceError(f"a price table of more than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        table = msgspec.json.decode(content, type=Table)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PriceError(f"not a price table of trueup: {error}") from None
    if len(table.source) > _MAX_SOURCE or not table.source.isprintable():
        raise PriceError(f"'source' must be one printable line of at most {_MAX_SOURCE} characters")
    seen: set[str] = set()
    for vendor in table.providers:
        if vendor.id in seen:
            raise PriceError(f"vendor '{vendor.id}' is there twice")
        seen.add(vendor.id)
        if vendor.match is not None:
            _check_clause(vendor.match, f"vendor '{vendor.id}'")
        for model in vendor.models:
            _check_model(model, f"model '{model.id}' of '{vendor.id}'")
    return table


def _check_model(model: Model, where: str) -> None:
    _check_clause(model.match, where)
    if not model.prices:
        raise PriceError(f"{where} has no price")
    for entry in model.prices:
        if not {"input", "output"} <= entry.rates.keys():
            raise PriceError(f"{where} needs both 'input' and 'output'")
    for entry in (*model.prices, *model.variants):
        for kind, bands in entry.rates.items():
            limits = [above for above, _ in bands]
            if not limits or limits[0] != 0 or limits != sorted(set(limits)):
                raise PriceError(f"{where}: bands of '{kind}' must begin at 0 and ascend")
            if len(limits) > _MAX_BANDS:
                raise PriceError(f"{where}: more than {_MAX_BANDS} bands of '{kind}'")
            if not all(0 <= rate <= MAX_RATE for _, rate in bands):
                raise PriceError(f"{where}: a rate of '{kind}' is not between 0 and {MAX_RATE} picodollars")


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "equals": lambda name, text: name == text,
    "starts_with": lambda name, text: name.startswith(text),
    "ends_with": lambda name, text: name.endswith(text),
    "contains": lambda name, text: text in name,
    "regex": lambda name, text: re.search(text, name) is not None,
}


_LONGEST_PATTERN, _MOST_REPEATS, _MOST_CHOICES = 300, 2, 16
_LITERAL = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)  # an escape or a set: one character
_REPEAT = re.compile(r"[*+]|\{\d*,\d*\}")
_UNUSUAL = re.compile(r"\)[*+{]|\(\?(?!i\)|[:=!<])")  # a group that repeats; flags that change what is written


def _check_pattern(pattern: str, where: str) -> None:
    """Names of models are what logs say. A pattern that tries too many ways to match one would hold whoever prices."""
    bare = _LITERAL.sub("x", pattern)
    choices = bare.count("|") + bare.count("?") - bare.count("(?")
    many = len(_REPEAT.findall(bare)) > _MOST_REPEATS or choices > _MOST_CHOICES
    if len(pattern) > _LONGEST_PATTERN or many or _UNUSUAL.search(bare):
        raise PriceError(
            f"{where}: '{pattern[:60]}' could take too long: at most {_LONGEST_PATTERN} characters, {_MOST_REPEATS}"
            f" repeats, none of a group, and {_MOST_CHOICES} alternatives"
        )
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise PriceError(f"{where}: '{pattern}' is no regular expression: {error}") from None


def _check_clause(clause: Any, where: str, depth: int = 1) -> None:
    if depth > _MAX_DEPTH:
        raise PriceError(f"{where}: tests are nested more than {_MAX_DEPTH} deep")
    if not isinstance(clause, dict) or len(clause) != 1:
        raise PriceError(f"{where}: a match must name one test")
    ((kind, value),) = clause.items()
    if kind in ("or", "and"):
        if not isinstance(value, list) or not value:
            raise PriceError(f"{where}: '{kind}' needs a list of tests")
        for part in value:
            _check_clause(part, where, depth + 1)
        return
    if kind not in _TESTS or not isinstance(value, str):
        raise PriceError(f"{where}: there is no test '{kind}' of a text")
    if kind == "regex":
        _check_pattern(value, where)


def _matches(clause: Clause, name: str) -> bool:
    ((kind, value),) = clause.items()
    if kind == "or":
        return any(_matches(part, name) for part in value)
    if kind == "and":
        return all(_matches(part, name) for part in value)
    return _TESTS[kind](name, value)
