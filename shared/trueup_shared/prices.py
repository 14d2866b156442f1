"""What a request costs at list price: a dated table, `prices.json` (written by `make prices`), under an operator's own
prices.

Money is integer nanodollars. None means that the model has no list price: its tokens are counted as unpriced, never
as free. Context bands, tiers and speeds belong to a single request, so a request is priced whole and sums are sums of
requests.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from trueup_shared.metrics import MAX_COUNTER
from trueup_shared.price_names import Named, is_local, named
from trueup_shared.price_overrides import NO_OVERRIDES, Override, Overrides, encode_overrides, listed
from trueup_shared.price_table import KINDS, Model, Rates, Variant, Vendor, read_table

RULES = 2  # raised when the same table comes to give other prices: other names of models, other rules below

Steps = tuple[tuple[int, tuple[int, ...]], ...]  # (prompt tokens above which they hold, rates of KINDS), ascending
Plan = tuple[tuple[int, Steps], ...]  # (moment in µs UTC from which they hold, steps), ascending
Price = tuple[int | None, int | None]  # cost and cache savings in nanodollars: both, or neither

_NO_PRICE: Price = (None, None)
_PICO_PER_NANO = 1000
_HALF = _PICO_PER_NANO // 2
_BATCH = ("processing", "batch")  # the table's name for requests whose tier is `batch`
_FAST = ("speed", "fast")


class PriceList:
    """A table with overrides. PriceError when `content` is no table. `digest` is of all that prices depend on."""

    def __init__(self, content: bytes, overrides: Overrides = NO_OVERRIDES) -> None:
        table = read_table(content)
        self.content, self.overrides = content, overrides
        self.date, self.source = table.date.isoformat(), table.source
        hashed = blake2b(bytes((RULES,)) + content, digest_size=16)
        if overrides != NO_OVERRIDES:
            hashed = blake2b(hashed.digest() + encode_overrides(overrides), digest_size=16)
        self.digest = hashed.hexdigest()
        self._vendors = {vendor.id: vendor for vendor in table.providers}
        self._plan = lru_cache(maxsize=4096)(self._make_plan)

    def price(
        self,
        provider: str | None,
        model: str | None,
        at: int,
        input_tokens: int | None,
        cache_read_tokens: int | None,
        cache_write_tokens: int | None,
        cache_write_1h_tokens: int | None,
        output_tokens: int | None,
        service_tier: str | None = None,
        speed: str | None = None,
        context_tokens: int | None = None,
        web_searches: int | None = None,
        input_undivided_tokens: int | None = None,
        undivided_tokens: int | None = None,
    ) -> Price:
        """(cost, cache savings) of one request in nanodollars, at `at` (µs UTC).

        What was not reported is not charged. The savings are what its cached prompt tokens would have cost as fresh
        input, less what they did cost: reads save, writes may cost, so that they may be negative. Both are None when
        the model has no price, when counters are not divided into what has one or nothing was reported, and beyond
        what can be stored (9 million dollars for one request: a broken log). A cache write of unknown lifetime is
        charged as five minutes (formats/claude.md).
        """
        if input_undivided_tokens is not None or undivided_tokens is not None:
            return _NO_PRICE
        if input_tokens is None and output_tokens is None and cache_read_tokens is None and cache_write_tokens is None:
            return _NO_PRICE
        plan = self._plan(provider, model, service_tier, speed) if model else None
        if plan is None:
            return _NO_PRICE
        steps = plan[0][1]
        for start, later in plan[1:]:
            if at < start:
                break
            steps = later
        fresh, read, write = input_tokens or 0, cache_read_tokens or 0, cache_write_tokens or 0
        prompt = context_tokens if context_tokens is not None else fresh + read + write
        long_lived = min(cache_write_1h_tokens or 0, write)
        rates = steps[0][1]
        for above, banded in steps[1:]:
            if prompt > above:
                rates = banded
        if not rates:
            return _NO_PRICE
        input_, cache_read, cache_write, cache_write_1h, output, web_search = rates
        cached = read * cache_read + (write - long_lived) * cache_write + long_lived * cache_write_1h
        cost = fresh * input_ + cached + (output_tokens or 0) * output + (web_searches or 0) * web_search
        nano = (cost + _HALF) // _PICO_PER_NANO
        saved = ((read + write) * input_ - cached + _HALF) // _PICO_PER_NANO
        return (nano, saved) if nano <= MAX_COUNTER and saved <= MAX_COUNTER else _NO_PRICE

    def fits_nothing(self, used: Iterable[tuple[str | None, str | None]]) -> list[str]:
        """Overrides and aliases that no (provider, model) of these meets: mistyped, as a rule."""
        aliases, models = dict(self.overrides.aliases), dict(enumerate(self.overrides.models, 1))
        for provider, model in used:
            if model is None:
                continue
            aliases = {pattern: target for pattern, target in aliases.items() if not fnmatchcase(model, pattern)}
            names = self._names(model)[2]
            models = {n: override for n, override in models.items() if not override.fits(provider, names)}
        return [f"alias '{pattern}'" for pattern in aliases] + [
            f"[[model]] {n} ('{override.match}')" for n, override in models.items()
        ]

    def _names(self, model: str) -> tuple[str | None, Named, tuple[str, ...]]:
        """What an alias makes of it, what that is, and all names that it goes by."""
        target = self.overrides.alias_of(model)
        what = named(target or model)
        return target, what, tuple(dict.fromkeys((model, target or model, *what.names)))

    def _make_plan(self, provider: str | None, model: str, service_tier: str | None, speed: str | None) -> Plan | None:
        target, what, names = self._names(model)
        found = self._find(None if target else provider, target or model, what)
        modes = {("speed", speed), ("service_tier", service_tier), *what.modes}
        if service_tier == "batch":
            modes.add(_BATCH)
        variants = [v for v in found.variants if v.when in modes] if found else []
        own = [o for o in self.overrides.models if o.fits(provider, names) and modes.issuperset(o.modes)]
        if _FAST in modes and not any(_FAST in ways for ways in [(v.when,) for v in variants] + [o.modes for o in own]):
            return None  # it costs several times as much: nobody knows how many
        plan = _plan(found, variants, own)
        return plan if any(steps[0][1] for _, steps in plan) else None

    def _find(self, provider: str | None, model: str, what: Named) -> Model | None:
        """The vendor that is named has it, or its maker, or one that knows such names as its own."""
        if is_local(provider, model):
            return None
        first = [self._vendors[name] for name in (provider, what.maker) if name in self._vendors]
        for name in what.names:
            vendors: list[Vendor] = [*first, *(v for v in self._vendors.values() if v.matches(name))]
            for vendor in vendors:
                if (found := vendor.find(name)) is not None:
                    return found
        return None


def _plan(found: Model | None, variants: list[Variant], own: list[Override]) -> Plan:
    """List prices, then the operator's, then what is listed for the mode, then the operator's for it."""
    plain, special = [o for o in own if not o.modes], [o for o in own if o.modes]
    prices = found.prices if found else ()
    periods = []
    moments = {0, *(p.at for p in prices), *(v.at for v in variants), *(o.at for o in own)}
    for start in sorted(moments):
        rates: Rates = {}
        for price in prices:
            rates = rates | price.rates if price.at <= start else rates
        for override in plain:
            rates = override.over(rates) if override.at <= start else rates
        for variant in variants:
            rates = rates | variant.rates if variant.at <= start else rates
        for override in special:
            rates = override.over(rates) if override.at <= start else rates
        periods.append((start, _steps(rates)))
    return tuple(periods)


def _steps(rates: Rates) -> Steps:
    """Rates of all kinds side by side, so that a request looks its bands up once; none where there is no price."""
    if not {"input", "output"} <= rates.keys():
        return ((-1, ()),)
    bands = [listed(rates, kind) for kind in KINDS]
    limits = sorted({above for kind in bands for above, _ in kind[1:]})
    return tuple((limit, tuple(_rate(kind, limit + 1) for kind in bands)) for limit in (-1, *limits))


def _rate(bands: tuple[tuple[int, int], ...], prompt: int) -> int:
    rate = bands[0][1]
    for above, banded in bands[1:]:
        if prompt > above:
            rate = banded
    return rate


RELEASED = PriceList(Path(__file__).with_name("prices.json").read_bytes())
DIGEST, DATE = RELEASED.digest, RELEASED.date


def cost_nanousd(
    provider: str | None,
    model: str | None,
    at: int,
    *counters: int | str | None,
    **named_counters: int | str | None,
) -> int | None:
    """The cost of `PriceList.price`, by this release's own table: what agents price with."""
    return RELEASED.price(provider, model, at, *counters, **named_counters)[0]  # type: ignore[arg-type]
