"""Parameters of a request: declared by routes, decoded once, wrong ones named (interface.md). What is unknown is an
error, never ignored.

Lists may be repeated or separated by commas; a value with a comma is quoted as in CSV (`project="a,b"`). An empty value
selects what has none: `model=` is usage without a model, `label=team:` hosts without that label.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

from trueup_hub.errors import BadRequest, NotFound

DIMENSIONS = ("host", "harness", "project", "model", "provider")  # in the order of the SQL's parameters
COUNTED = ("once", "all")  # all: copies that are set aside too
LABEL = "label:"  # before the name of a label where hosts are divided by it

# Times that can be stored lie in 2015 … 2100 (design section 4). A margin of a day covers every zone.
FIRST_DAY, LAST_DAY = date(2015, 1, 2), date(2100, 12, 30)


class Parameter(Struct, frozen=True, kw_only=True):
    """One parameter of a route. `default` None = absent means not asked, except where it is `needed`."""

    name: str
    kind: Literal["choice", "dimension", "whole", "day", "zone", "list", "text", "uuid", "key"]
    doc: str
    choices: tuple[str, ...] = ()  # of a choice; of a dimension beside `label:NAME`
    code: str = "bad_parameter"  # of the error for another choice
    lowest: int = 0  # of a whole number
    highest: int = 0
    default: str | int | None = None
    needed: bool = False


def metric(supported: tuple[str, ...], default: str) -> Parameter:
    """`metric=`: what an endpoint cannot tell is `unsupported_metric`, never a silent default (design section 8)."""
    return Parameter(
        name="metric",
        kind="choice",
        doc="What to measure; /capabilities says which metrics there are.",
        choices=supported,
        code="unsupported_metric",
        default=default,
    )


def _filter(name: str, doc: str) -> Parameter:
    return Parameter(name=name, kind="list", doc=doc)


FORMAT = Parameter(
    name="format", kind="choice", doc="CSV also by `Accept: text/csv`.", choices=("json", "csv"), default="json"
)
COMMON = (
    Parameter(name="from", kind="day", doc="First day, included. Absent: the first on which anything happened."),
    Parameter(name="to", kind="day", doc="Last day, included. Absent: the last on which anything happened."),
    Parameter(name="timezone", kind="zone", doc="Whose days, as in the IANA list. Absent: the hub's setting."),
    _filter("host", "Id or label of hosts."),
    _filter("harness", "Harnesses, such as claude."),
    _filter("project", "Projects."),
    _filter("model", "Models, as logged."),
    _filter("provider", "Providers, such as anthropic."),
    _filter("label", "Labels of hosts, NAME:VALUE. Values of one name: any of them; several names: each of them."),
    Parameter(
        name="counted",
        kind="choice",
        doc="once: a request that several files, ledgers or hosts have counts once. all: each copy counts.",
        choices=COUNTED,
        default="once",
    ),
)
HOSTS = tuple(parameter for parameter in COMMON if parameter.name in ("host", "label"))

IN_PATH = {
    parameter.name: parameter
    for parameter in (
        Parameter(name="host_id", kind="uuid", doc="Of a host, as `GET /hosts` has it."),
        Parameter(name="ledger_id", kind="uuid", doc="Of a ledger: its agent made it."),
        Parameter(name="session_id", kind="key", doc="The hub's id of a session, as lists have it."),
        Parameter(name="session_key", kind="key", doc="The key of a session."),
        Parameter(name="generation", kind="whole", doc="The full push that is open.", highest=2**31 - 1),
        Parameter(name="bucket", kind="whole", doc="The first byte of session keys.", highest=255),
    )
}


class Common(Struct, frozen=True):
    """What every analytics endpoint can be asked. None = not asked."""

    first: date | None
    last: date | None  # included
    zone: ZoneInfo
    filters: dict[str, list[str]]  # only dimensions that were asked for
    labels: dict[str, list[str]] = {}  # name -> values, '' = hosts without it
    counted: str = "once"


class Query:
    """What one request asks by its path and query string, checked against what its route declares.

    BadRequest names what is wrong in the query. What cannot be in a path is NotFound.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        takes: Sequence[Parameter] = COMMON,
        in_path: Sequence[Parameter] = (),
        path: Mapping[str, str] = {},
    ) -> None:
        known = {parameter.name: parameter for parameter in takes}
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in known:
                accepted = f"it takes {', '.join(known)}" if known else "it takes none"
                raise BadRequest("unknown_parameter", f"'{_shown(name)}' is not a parameter of this route: {accepted}.")
            if "\0" in value:
                raise bad(name, value, "must not contain a NUL character")
            given.setdefault(name, []).append(value)
        self._values: dict[str, Any] = {name: _read(parameter, given.get(name)) for name, parameter in known.items()}
        for parameter in in_path:
            self._values[parameter.name] = _read_path(parameter, path[parameter.name])

    def __getitem__(self, name: str) -> Any:
        """The value of a declared parameter, or its default."""
        return self._values[name]

    def common(self, default_zone: str) -> Common:
        """The common parameters. `default_zone`: the hub's setting."""
        first, last = self["from"], self["to"]
        if first is not None and last is not None and first > last:
            raise BadRequest("bad_parameter", f"'from' ({first}) is after 'to' ({last}).")
        filters = {name: self[name] for name in DIMENSIONS if self[name] is not None}
        zone = self["timezone"] or ZoneInfo(default_zone)
        return Common(first, last, zone, filters, self.labels(), self["counted"])

    def labels(self) -> dict[str, list[str]]:
        """Values of each label that is asked for."""
        return _labels(self["label"] or [])


def _read(parameter: Parameter, values: list[str] | None) -> Any:
    if parameter.kind == "list":
        return None if values is None else _several(parameter.name, values)
    if values is None:
        if parameter.needed:
            raise _no_choice(parameter, f"'{parameter.name}' is needed")
        return parameter.default
    if len(values) > 1:
        raise BadRequest("bad_parameter", f"'{parameter.name}' is given {len(values)} times; it takes one value.")
    return _READERS[parameter.kind](parameter, values[0])


def _read_path(parameter: Parameter, value: str) -> Any:
    try:
        return _READERS[parameter.kind](parameter, value)
    except BadRequest as error:
        raise NotFound(error.detail) from None


def _choice(parameter: Parameter, value: str) -> str:
    if value not in parameter.choices:
        raise _no_choice(parameter, f"'{parameter.name}' cannot be '{_shown(value)}'")
    return value


def _dimension(parameter: Parameter, value: str) -> str:
    return value if value.startswith(LABEL) and value != LABEL else _choice(parameter, value)


def _no_choice(parameter: Parameter, said: str) -> BadRequest:
    choices = [*parameter.choices, *([f"{LABEL}NAME"] if parameter.kind == "dimension" else [])]
    return BadRequest(parameter.code, f"{said}: use one of {', '.join(choices)}.", supported=choices)


def _whole(parameter: Parameter, value: str) -> int:
    # str.isdigit alone lets '²' through, int() alone lets '1_0' and ' 1' through
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else -1
    if not parameter.lowest <= number <= parameter.highest:
        raise bad(parameter.name, value, f"must be a whole number from {parameter.lowest} to {parameter.highest}")
    return number


def _uuid(parameter: Parameter, value: str) -> UUID:
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
        raise bad(parameter.name, value, "must be a UUID, such as 1c9fbd5f-77a4-4cf8-8d3e-2a4f8c1f4b0e")
    return UUID(value)


def _key(parameter: Parameter, value: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{32}", value):
        raise bad(parameter.name, value, "must be 32 hexadecimal digits")
    return bytes.fromhex(value)


def _day(parameter: Parameter, value: str) -> date:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:  # not 20261122 or 2026-W47-7
        raise bad(parameter.name, value, "must be a date such as 2026-11-22")
    if not FIRST_DAY <= day <= LAST_DAY:
        raise bad(parameter.name, value, f"must lie between {FIRST_DAY} and {LAST_DAY}")
    return day


def _zone(parameter: Parameter, value: str) -> ZoneInfo:
    if value not in _zone_names():
        raise bad(parameter.name, value, "is not a time zone of the IANA list, such as Europe/Berlin")
    return ZoneInfo(value)


@cache
def _zone_names() -> frozenset[str]:
    # ZoneInfo(name) alone also accepts directories, 'localtime' and other files of the system's database
    return frozenset(available_timezones())


_READERS: dict[str, Any] = {
    "choice": _choice,
    "dimension": _dimension,
    "whole": _whole,
    "day": _day,
    "zone": _zone,
    "text": lambda parameter, value: value,
    "uuid": _uuid,
    "key": _key,
}


def _several(name: str, values: list[str]) -> list[str]:
    """Values that are repeated or separated by commas, without repetitions."""
    found: dict[str, None] = {}
    for value in values:
        try:
            rows = list(csv.reader([value], strict=True)) if value else [[""]]
        except csv.Error as error:
            raise bad(name, value, f"is not a list of values ({error})") from error
        found.update(dict.fromkeys(part for row in rows for part in row))
    return list(found)


def _labels(given: list[str]) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for label in given:
        name, colon, value = label.partition(":")
        if not (name and colon):
            raise bad("label", label, "must be NAME:VALUE, such as team:web")
        labels.setdefault(name, []).append(value)
    return labels


def bad(name: str, value: str, why: str) -> BadRequest:
    """'name' is 'value', which `why`. A long value is cut."""
    return BadRequest("bad_parameter", f"'{name}' is '{_shown(value)}': {why}.")


def _shown(value: str) -> str:
    return value if len(value) <= 60 else value[:60] + "…"
