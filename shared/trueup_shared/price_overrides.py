"""An operator's own prices and names, in a TOML file (docs/prices.md): dollars for a million tokens, or for a thousand
searches. Dollars are read as decimals, never as binary fractions.
"""

import tomllib
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from trueup_shared.price_names import Mode
from trueup_shared.price_table import KINDS, MAX_RATE, Kind, PriceError, Rates, micros_of

_MAX_BYTES = 1024 * 1024
_MOST = 1000  # aliases and models: each name of a model is held against all of them
_MODES = ("service_tier", "speed")
_TEXTS = ("match", "provider", *_MODES)
_SCALE = dict.fromkeys(KINDS, 1_000_000) | {"web_search": 1_000_000_000}  # picodollars for one, of a file's dollar


class Override(Struct, frozen=True, omit_defaults=True):
    """Rates in picodollars for requests that fit all that is said: names and providers by pattern, * and ? as in files.

    They take the place of the list's rates of the same kinds; with `above`, for longer prompts only.
    """

    match: str
    rates: dict[Kind, int]
    provider: str | None = None
    service_tier: str | None = None
    speed: str | None = None
    above: int = 0  # prompt tokens
    start: date | None = None

    @property
    def at(self) -> int:
        return micros_of(self.start)

    @property
    def modes(self) -> tuple[Mode, ...]:
        return tuple((name, value) for name in _MODES if (value := getattr(self, name)) is not None)

    def fits(self, provider: str | None, names: tuple[str, ...]) -> bool:
        """`names` that the model goes by, as logged among them."""
        if self.provider is not None and self.provider != provider:
            return False
        return any(fnmatchcase(name, self.match) for name in names)

    def over(self, rates: Rates) -> Rates:
        found = dict(rates)
        for kind, rate in self.rates.items():
            lower = tuple(band for band in found.get(kind, ()) if band[0] < self.above)
            if self.above and not lower:
                lower = tuple(band for band in listed(found, kind) if band[0] < self.above)
            found[kind] = (*lower, (self.above, rate))
        return found


class Overrides(Struct, frozen=True, omit_defaults=True):
    """`aliases`: (pattern, model) in the file's order: the first that fits says what model a name stands for."""

    aliases: tuple[tuple[str, str], ...] = ()
    models: tuple[Override, ...] = ()

    @property
    def number(self) -> int:
        return len(self.aliases) + len(self.models)

    def alias_of(self, model: str) -> str | None:
        return next((target for pattern, target in self.aliases if fnmatchcase(model, pattern)), None)


NO_OVERRIDES = Overrides()


def listed(rates: Rates, kind: Kind) -> tuple[tuple[int, int], ...]:
    """What a kind costs that a vendor does not list: reads and writes as input, all writes alike, searches nothing."""
    if kind in rates:
        return rates[kind]
    if kind == "cache_write_1h":
        return listed(rates, "cache_write")
    if kind in ("cache_read", "cache_write"):
        return listed(rates, "input")
    return ((0, 0),)


def read_overrides(path: Path) -> Overrides:
    """PriceError names the file and what is wrong in it, in one line."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise PriceError(f"{path}: {error.strerror or error}") from None
    if len(content) > _MAX_BYTES:
        raise PriceError(f"{path}: more than {_MAX_BYTES // 1024} KiB")
    try:
        return parse_overrides(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise PriceError(f"{path}: not UTF-8 text") from None
    except PriceError as error:
        raise PriceError(f"{path}: {error}") from None


def parse_overrides(text: str) -> Overrides:
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:  # a number of 5000 digits is no TOMLDecodeError
        raise PriceError(f"not TOML: {error}") from None
    if unknown := document.keys() - {"aliases", "model"}:
        raise PriceError(f"there is no '{min(unknown)}': write [aliases] and [[model]]")
    aliases, models = document.get("aliases", {}), document.get("model", [])
    if not isinstance(aliases, dict) or not isinstance(models, list):
        raise PriceError("write [aliases] as a table and each [[model]] in two brackets")
    if len(aliases) + len(models) > _MOST:
        raise PriceError(f"more than {_MOST} aliases and models")
    for pattern, target in aliases.items():
        if not (pattern and isinstance(target, str) and target):
            raise PriceError(f"alias '{pattern}' must name a model")
    return Overrides(tuple(aliases.items()), tuple(_override(entry, n) for n, entry in enumerate(models, 1)))


def encode_overrides(overrides: Overrides) -> bytes:
    """One form for each content: for digests, and to be kept."""
    return msgspec.json.encode(overrides, order="deterministic")


def decode_overrides(content: bytes) -> Overrides:
    return msgspec.json.decode(content, type=Overrides)


def _override(entry: Any, number: int) -> Override:
    where = f"[[model]] {number}"
    if not isinstance(entry, dict):
        raise PriceError(f"{where} must be a table")
    where += f" ('{entry['match']}')" if isinstance(entry.get("match"), str) else ""
    if unknown := entry.keys() - {*_TEXTS, "above", "from", *KINDS}:
        raise PriceError(f"{where}: there is no '{min(unknown)}'")
    for name in _TEXTS:
        if name in entry and not (isinstance(entry[name], str) and entry[name]):
            raise PriceError(f"{where}: '{name}' must be a text")
    if "match" not in entry:
        raise PriceError(f"{where} needs 'match': which models")
    above, start = entry.get("above", 0), entry.get("from")
    if type(above) is not int or not 0 <= above < 2**53:
        raise PriceError(f"{where}: 'above' must be a number of tokens")
    if start is not None and (not isinstance(start, date) or isinstance(start, datetime)):
        raise PriceError(f"{where}: 'from' must be a day, as in 2026-01-31")
    rates = {kind: _picodollars(entry[kind], kind, where) for kind in KINDS if kind in entry}
    if not rates:
        raise PriceError(f"{where} names no rate: {', '.join(KINDS)}")
    texts = {name: entry.get(name) for name in _TEXTS[1:]}
    return Override(match=entry["match"], rates=rates, above=above, start=start, **texts)


def _picodollars(value: Any, kind: Kind, where: str) -> int:
    amount = Decimal(value) if type(value) is int else value
    if not isinstance(amount, Decimal) or not amount.is_finite() or amount < 0:
        raise PriceError(f"{where}: '{kind}' must be dollars, 0 or more")
    if abs(amount.adjusted()) > 18 and amount:
        raise PriceError(f"{where}: '{kind}' is no price: {value}")
    scaled = amount * _SCALE[kind]
    if scaled != scaled.to_integral_value():
        raise PriceError(f"{where}: '{kind}' is finer than picodollars: {value}")
    if scaled > (MAX_RATE if kind != "web_search" else MAX_RATE * 1000):
        raise PriceError(f"{where}: '{kind}' is no price: {value}")
    return int(scaled)
