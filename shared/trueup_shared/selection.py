"""What a client wants to see, brought to what a hub can be asked: by its `/capabilities`, before anything is sent.

Nothing that is not supported is asked. Whatever is put back is told with its reason, never changed in silence (design
section 8). Hubs of all releases are understood: fields of the document may be missing, and others are left alone. The
dashboard does the same (lib/coerce.ts); both are held to tests/golden/selection.json.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from msgspec import Struct

Values = Mapping[str, Sequence[str]]  # parameter -> what is wanted of it; values of lists as they are, not quoted

_LABEL = "label:"
_DAYS = ("2015-01-02", "2100-12-30")  # of hubs that do not tell theirs
_HOURS = {"hour": 24, "day": 1}
_BUCKET_DAYS = {"week": 7, "month": 31}
_STANDARD_METRIC = "total_tokens"
# Parameters of hubs before 0.2, which told only their common ones by name.
_KIND_BEFORE = {"from": "day", "to": "day", "timezone": "zone"}
_ENDPOINTS_BEFORE = (
    *(f"analytics/{name}" for name in ("summary", "activity", "heatmap", "top-sessions", "breakdown")),
    *("sessions", "trust"),
)
_LISTS_BEFORE = ("host", "harness", "project", "model", "provider", "label")


class Change(Struct, frozen=True):
    """`instead` is what is asked now, () = nothing. `reason`: a clause in words."""

    parameter: str
    wanted: tuple[str, ...]
    instead: tuple[str, ...]
    reason: str


class Coerced(Struct, frozen=True):
    """What may be sent. `endpoint` None: nothing, this hub does not have it. `values`: as wanted, where it was kept;
    with the metric to show, which not every endpoint is asked for. `query`: the pairs to send."""

    endpoint: str | None
    values: dict[str, list[str]]
    query: list[tuple[str, str]]
    changes: list[Change]


def coerce(
    capabilities: Mapping[str, Any], endpoint: str, wanted: Values, usual: Mapping[str, str] | None = None
) -> Coerced:
    """`endpoint`: a path below /api/v1/, such as `analytics/heatmap`. `usual`: the client's own defaults, which stand
    in for what is not there before those of the hub do. Coercing what this gives changes nothing."""
    takes = _takes(capabilities, endpoint)
    if takes is None:
        return Coerced(None, {}, [], [Change("endpoint", (endpoint,), (), f"this hub does not have {endpoint}")])
    fit = _Fit(capabilities, endpoint, takes, usual or {})
    for name, given in wanted.items():
        fit.take(name, list(given))
    if not fit.complete():
        return Coerced(None, {}, [], fit.changes)
    fit.check_range()
    fit.check_size()
    fit.check_cursor()
    pairs = [
        (name, listed(value) if takes[name].get("kind") == "list" else value)
        for name, given in fit.kept.items()
        if name in takes
        for value in given
    ]
    return Coerced(endpoint, fit.kept, pairs, fit.changes)


def endpoints(capabilities: Mapping[str, Any]) -> list[str]:
    """Those that a hub can be asked as they are: without a place for an id, and not its stream."""
    routes = capabilities.get("routes")
    names = routes if isinstance(routes, Mapping) else _ENDPOINTS_BEFORE
    plain = {name for name in names if isinstance(name, str) and "{" not in name} - {"events"}
    return sorted(name for name in plain if _takes(capabilities, name) is not None)


def why_unknown(capabilities: Mapping[str, Any], metric: str, harnesses: Sequence[str] = ()) -> str | None:
    """Why a metric that the hub has would be unknown everywhere: none of `harnesses` (none given = all that report to
    it) reports it. None = some do, or the hub does not tell."""
    told = _mapping(capabilities.get("harnesses"))
    speaking = [name for name in harnesses or told if _mapping(told.get(name))]
    extents = [_mapping(_mapping(told[name]).get(metric)).get("reported") for name in speaking]
    if not extents or any(extent != "none" for extent in extents):
        return None
    return f"{metric} is not reported by {', '.join(sorted(name or 'unknown' for name in speaking))}"


def listed(value: str) -> str:
    """A value of a list as it is sent: quoted as in CSV where it needs that."""
    return '"' + value.replace('"', '""') + '"' if re.search(r'[",\r\n]', value) else value


class _Fit:
    """One selection on its way: what is kept of it, and what was put back."""

    def __init__(
        self,
        capabilities: Mapping[str, Any],
        endpoint: str,
        takes: Mapping[str, Mapping[str, Any]],
        usual: Mapping[str, str],
    ) -> None:
        self._hub, self._endpoint, self._takes, self._usual = capabilities, endpoint, takes, usual
        self.kept: dict[str, list[str]] = {}
        self.changes: list[Change] = []

    def take(self, name: str, given: list[str]) -> None:
        """One parameter. What cannot be sent at all is left out of it first."""
        parameter = self._parameter(name)
        if parameter is None:
            self._put(name, given, [], f"this hub does not take {name} for {self._endpoint}")
            return
        sound = [value for value in given if _can_be_sent(value)]
        if len(sound) < len(given):
            self._change(name, [v for v in given if v not in sound], [], f"{name} has a character that cannot be sent")
        if parameter.get("kind") == "list":
            self._take_list(name, list(dict.fromkeys(sound)))
        elif sound:
            if len(sound) > 1:
                self._change(name, sound[1:], sound[:1], f"{name} can be only one at a time")
            self._take_one(name, parameter, sound[0])

    def complete(self) -> bool:
        """Parameters that are needed have a value; False = this hub offers none."""
        for name, parameter in self._takes.items():
            if parameter.get("needed") and name not in self.kept:
                instead = _default(parameter, self._usual.get(name))
                self._put(name, [], instead, f"{name} is needed for {self._endpoint}")
                if not instead:
                    return False
        return True

    def check_range(self) -> None:
        first, last = self.kept.get("from"), self.kept.get("to")
        if first and last and first > last:
            for name in ("from", "to"):
                self._put(name, self.kept[name], [], f"{first[0]} is after {last[0]}")

    def check_size(self) -> None:
        """Where the range tells that an answer would be refused for its length, the first step that is not."""
        limit, step = _mapping(self._hub.get("limits")).get("activity_points"), self.kept.get("granularity")
        first, last = self.kept.get("from"), self.kept.get("to")
        if not (step and first and last and isinstance(limit, int) and _is_day(first[0]) and _is_day(last[0])):
            return
        days = (date.fromisoformat(last[0]) - date.fromisoformat(first[0])).days + 1
        if _points(days, step[0]) > limit:
            choices = _texts(self._takes["granularity"].get("choices"))
            for one in choices:
                if 0 < _points(days, one) <= limit:
                    self._put("granularity", step, [one], f"{_points(days, step[0])} points are more than {limit}")
                    return

    def check_cursor(self) -> None:
        if self.changes and "cursor" in self.kept:
            self._put("cursor", self.kept["cursor"], [], "the cursor belongs to another list")

    def _parameter(self, name: str) -> Mapping[str, Any] | None:
        found = self._takes.get(name)
        if name != "metric" or found is not None:
            return found
        # Not asked for, but chosen out of the answer
        choices = _metrics(self._hub, self._endpoint)
        return {"kind": "choice", "choices": choices, "needed": True} if choices else None

    def _take_one(self, name: str, parameter: Mapping[str, Any], value: str) -> None:
        kind = parameter.get("kind")
        check = _CHECKS.get(kind) if isinstance(kind, str) else None
        reason = check(self, name, parameter, value) if check else None
        if reason is None:
            self.kept[name] = [value]
        else:
            instead = _nearest(parameter, value) or _default(parameter, self._usual.get(name))
            self._put(name, [value], instead, reason)

    def _take_list(self, name: str, given: list[str]) -> None:
        known = _known(self._hub, name)
        kept = []
        for value in given:
            if name == "label" and not re.match(r"[^:]+:", value):
                self._change(name, [value], [], f"“{_shown(value)}” is not NAME:VALUE")
            elif known is not None and value not in known and not (name == "host" and value.lower() in known):
                self._change(name, [value], [], f"this hub knows no {name} “{_shown(value)}”")
            else:
                kept.append(value)
        if kept:
            self.kept[name] = kept

    def _put(self, name: str, wanted: Sequence[str], instead: Sequence[str], reason: str) -> None:
        self.kept.pop(name, None)
        if instead:
            self.kept[name] = list(instead)
        self._change(name, wanted, instead, reason)

    def _change(self, name: str, wanted: Sequence[str], instead: Sequence[str], reason: str) -> None:
        self.changes.append(Change(name, tuple(wanted), tuple(instead), reason))

    def _not_a_choice(self, name: str, parameter: Mapping[str, Any], value: str) -> str | None:
        known = value in _texts(parameter.get("choices"))
        return None if known else f"this hub does not have {name}={_shown(value)} for {self._endpoint}"

    def _not_a_dimension(self, name: str, parameter: Mapping[str, Any], value: str) -> str | None:
        if not value.startswith(_LABEL) or value == _LABEL:
            return self._not_a_choice(name, parameter, value)
        labels, label = _known(self._hub, "label"), value.removeprefix(_LABEL)
        return None if labels is None or f"{label}:" in labels else f"this hub knows no label “{_shown(label)}”"

    def _not_whole(self, name: str, parameter: Mapping[str, Any], value: str) -> str | None:
        lowest, highest = _bounds(parameter)
        inside = _is_number(value) and lowest <= int(value) <= highest
        return None if inside else f"“{_shown(value)}” is not a whole number from {lowest} to {highest}"

    def _not_a_day(self, name: str, parameter: Mapping[str, Any], value: str) -> str | None:
        told = _texts(self._hub.get("days"))
        first, last = told if len(told) == 2 else _DAYS
        inside = _is_day(value) and first <= value <= last
        return None if inside else f"“{_shown(value)}” is not a date from {first} to {last}"

    def _not_a_zone(self, name: str, parameter: Mapping[str, Any], value: str) -> str | None:
        return None if value in _zones() else f"“{_shown(value)}” is not a time zone"


# Kinds of parameters that can be checked; one of a kind that only later hubs know is sent as it is.
_CHECKS: dict[Any, Callable[[_Fit, str, Mapping[str, Any], str], str | None]] = {
    "choice": _Fit._not_a_choice,
    "dimension": _Fit._not_a_dimension,
    "whole": _Fit._not_whole,
    "day": _Fit._not_a_day,
    "zone": _Fit._not_a_zone,
}


def _takes(hub: Mapping[str, Any], endpoint: str) -> Mapping[str, Mapping[str, Any]] | None:
    """Parameters of an endpoint, None = this hub does not have it."""
    routes = hub.get("routes")
    if not isinstance(routes, Mapping):
        return _takes_before(hub, endpoint)
    found = routes.get(endpoint)
    return {n: p for n, p in found.items() if isinstance(p, Mapping)} if isinstance(found, Mapping) else None


def _takes_before(hub: Mapping[str, Any], endpoint: str) -> Mapping[str, Mapping[str, Any]] | None:
    features, limits = _texts(hub.get("features")), _mapping(hub.get("limits"))
    if endpoint.replace("/", ".") not in features or endpoint in ("hosts", "events"):
        return None
    dimensions: dict[str, Any] = {"kind": "choice", "choices": _texts(hub.get("group_by"))}
    orders = {"kind": "choice", "choices": ["desc", "asc"], "default": "desc"}
    steps = {"kind": "choice", "choices": _texts(hub.get("granularities")), "default": "day"}
    metric = {"kind": "choice", "choices": _metrics(hub, endpoint), "default": _STANDARD_METRIC}
    own: dict[str, dict[str, Mapping[str, Any]]] = {
        "analytics/activity": {"granularity": steps, "group_by": dimensions},
        "analytics/heatmap": {"metric": metric},
        "analytics/top-sessions": {"metric": metric, "limit": _limit(limits.get("top_sessions"), 10)},
        "analytics/breakdown": {"by": dimensions | {"needed": True}},
        "sessions": {
            "sort": {"kind": "choice", "choices": _texts(hub.get("sorts")), "default": "started_at"},
            "order": orders,
            "limit": _limit(limits.get("sessions"), 50),
            "cursor": {"kind": "text"},
        },
    }
    takes = own.get(endpoint, {})
    for name in _texts(hub.get("parameters")):
        takes[name] = {"kind": "list" if name in _LISTS_BEFORE else _KIND_BEFORE.get(name, "text")}
    if "counted" in takes:
        takes["counted"] = {"kind": "choice", "choices": _texts(hub.get("counted")), "default": "once"}
    if "csv" in features:
        takes["format"] = {"kind": "choice", "choices": ["json", "csv"], "default": "json"}
    return takes


def _limit(highest: Any, default: int) -> Mapping[str, Any]:
    highest = highest if isinstance(highest, int) else default
    return {"kind": "whole", "lowest": 1, "highest": highest, "default": min(default, highest)}


def _metrics(hub: Mapping[str, Any], endpoint: str) -> list[str]:
    return _texts(_mapping(hub.get("metrics")).get(endpoint.rpartition("/")[2]))


def _known(hub: Mapping[str, Any], name: str) -> set[str] | None:
    """Values of a filter, where the hub lists all of them."""
    values = _mapping(hub.get("values")).get(name)
    return set(_texts(values)) if isinstance(values, Sequence) and not isinstance(values, str) else None


def _default(parameter: Mapping[str, Any], usual: str | None) -> list[str]:
    """What stands in for a value: the client's, the hub's default; else, where something must be there, a choice."""
    default, choices = parameter.get("default"), _texts(parameter.get("choices"))
    if usual in choices:
        return [usual]
    if default is not None and (not choices or str(default) in choices):
        return [str(default)]
    if not choices or (default is None and not parameter.get("needed")):
        return []
    return [_STANDARD_METRIC if _STANDARD_METRIC in choices else choices[0]]


def _nearest(parameter: Mapping[str, Any], value: str) -> list[str]:
    """Of a number that is out of bounds."""
    if parameter.get("kind") != "whole" or not _is_number(value):
        return []
    lowest, highest = _bounds(parameter)
    return [str(min(max(int(value), lowest), highest))]


def _bounds(parameter: Mapping[str, Any]) -> tuple[int, int]:
    lowest, highest = parameter.get("lowest", 0), parameter.get("highest", 0)
    return (lowest if isinstance(lowest, int) else 0), (highest if isinstance(highest, int) else 0)


def _points(days: int, step: str) -> int:
    """As the hub reckons before it looks; 0 for a step that is not known here."""
    return days * _HOURS[step] if step in _HOURS else days // _BUCKET_DAYS[step] if step in _BUCKET_DAYS else 0


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return []
    return [one for one in value if isinstance(one, str)]


def _can_be_sent(value: str) -> bool:
    return "\0" not in value and not re.search("[\ud800-\udfff]", value)


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 10


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _shown(value: str) -> str:
    return value if len(value) <= 60 else value[:60] + "…"
