"""Whatever a client selects and whatever a hub lacks: what is sent after coercing is taken by that very hub."""

import json
import random
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hub_client import API, HubClient
from trueup_hub.capabilities import document
from trueup_hub.params import COMMON, FORMAT, Parameter, Query
from trueup_hub.pricing import Facts
from trueup_hub.reporters import Reporters
from trueup_hub.route import Route
from trueup_hub.routes import ROUTES
from trueup_shared.metrics import METRICS
from trueup_shared.selection import coerce
from usage_data import event, machine, session

BEFORE = json.loads((Path(__file__).parents[1] / "golden" / "selection.json").read_text())["hubs"]["0.1.0"]
READ = [r for r in ROUTES if r.path.startswith(f"{API}/") and r.need == "viewer" and r.method == "GET" and r.takes]
PRICES = Facts(digest="", date="", source="", own=0, priced_otherwise=None, counted_at=None)
NAMES = sorted({p.name for route in READ for p in route.takes or ()})
WORDS = sorted(
    {choice for route in READ for p in route.takes or () for choice in p.choices}
    | {metric.name for metric in METRICS}
    | {
        "",
        "label:",
        "label:team",
        "team:web",
        "2026-02-29",
        "2026-02-28",
        "2101-01-01",
        "UTC",
        "Europe/Berlin",
        "0",
        "7",
    }
    | {"9" * 12, "²", "1e3", 'a"b', "a,b", "a\r\nb", " x", "\0"}
)
wanted = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=5),
    st.lists(st.sampled_from(WORDS) | st.text(max_size=8), max_size=3),
    max_size=7,
)


def endpoint_of(route: Route) -> str:
    return route.path.removeprefix(f"{API}/")


def hub_without(rng: random.Random) -> tuple[dict[str, Any], dict[str, tuple[Parameter, ...]]]:
    """Capabilities of a hub that lacks some of what this one has, and what its routes take."""
    routes = []
    for route in READ:
        takes = []
        for p in route.takes or ():
            choices = tuple(one for one in p.choices if rng.random() < 0.7) or p.choices[:1]
            default = p.default if not choices or p.default is None or p.default in choices else choices[0]
            if p.needed or rng.random() < 0.8:
                takes.append(msgspec.structs.replace(p, choices=choices, default=default))
        if rng.random() < 0.8:
            routes.append(msgspec.structs.replace(route, takes=tuple(takes)))
    found = document("UTC", routes, Reporters(), PRICES)
    return json.loads(msgspec.json.encode(found)), {endpoint_of(route): route.takes or () for route in routes}


def is_taken(hub: dict[str, Any], takes: dict[str, Any], endpoint: str, selection: dict[str, list[str]]) -> None:
    found = coerce(hub, endpoint, selection)
    assert (found.endpoint is None) == (endpoint not in takes)
    if found.endpoint is None:
        assert not found.query
        assert found.changes
        return
    query = Query(found.query, takes[endpoint])
    if {p.name for p in COMMON} <= {p.name for p in takes[endpoint]}:
        query.common("UTC")
    again = coerce(hub, endpoint, found.values)
    assert (again.values, again.query, again.changes) == (found.values, found.query, [])
    told = {change.parameter for change in found.changes}
    assert {name for name in selection if found.values.get(name, []) != [*dict.fromkeys(selection[name])]} <= told
    if "metric" in found.values:
        assert found.values["metric"][0] in hub["metrics"][endpoint.rpartition("/")[2]]


@given(st.integers(0, 10**6), st.sampled_from([endpoint_of(route) for route in READ]), wanted)
def test_a_hub_that_lacks_things_takes_what_is_left(seed: int, endpoint: str, selection: dict[str, list[str]]) -> None:
    is_taken(*hub_without(random.Random(seed)), endpoint, selection)


def before() -> dict[str, tuple[Parameter, ...]]:
    """What release 0.1.0 took, written down by hand."""
    common = [p for p in COMMON if p.name not in ("label", "counted")]
    common += [FORMAT, Parameter(name="counted", kind="choice", doc="", choices=("once",))]
    dimensions = ("host", "harness", "project", "model", "provider")

    def choice(name: str, choices: Any, needed: bool = False) -> Parameter:
        return Parameter(name=name, kind="choice", doc="", choices=tuple(choices), needed=needed)

    steps = choice("granularity", ("hour", "day", "week", "month"))
    own = {
        "analytics/summary": [],
        "trust": [],
        "analytics/activity": [steps, choice("group_by", dimensions)],
        "analytics/breakdown": [choice("by", dimensions, needed=True)],
        "analytics/heatmap": [choice("metric", BEFORE["metrics"]["heatmap"])],
        "analytics/top-sessions": [
            choice("metric", BEFORE["metrics"]["top-sessions"]),
            Parameter(name="limit", kind="whole", doc="", lowest=1, highest=100),
        ],
        "sessions": [
            choice("sort", BEFORE["sorts"]),
            choice("order", ("desc", "asc")),
            Parameter(name="limit", kind="whole", doc="", lowest=1, highest=500),
            Parameter(name="cursor", kind="text", doc=""),
        ],
    }
    return {endpoint: (*parameters, *common) for endpoint, parameters in own.items()}


@given(
    st.sampled_from([endpoint_of(route) for route in READ if "{" not in route.path and "hosts" not in route.path]),
    wanted,
)
def test_the_hub_of_the_release_before_takes_what_is_left(endpoint: str, selection: dict[str, list[str]]) -> None:
    is_taken(BEFORE, before(), endpoint, selection)


async def test_a_real_hub_answers_every_selection_that_was_coerced(hub: HubClient) -> None:
    at = "2026-11-03T10:00Z"
    for label, labels in (("ana", {"team": "web"}), ("bob", {})):
        made = await machine(hub.db, label)
        await made.send(session(label, at), event(label, label, at, output_tokens=5, model="m"))
        await hub.db.execute("UPDATE hosts SET labels = $1 WHERE label = $2", labels, label)
    headers = await hub.token()
    document = await (await hub.http.get(f"{API}/capabilities", headers=headers)).json()
    rng = random.Random(5)
    words = {
        "host": ["ana", "bob", "eve", document["hosts"][0]["host_id"].upper()],
        "harness": ["claude", "codex", "cursor", ""],
        "label": ["team:web", "team:ops", "floor:1", "team:", "team"],
        "by": ["label:team", "label:floor", "model"],
        "group_by": ["label:team", "label:floor", "mood"],
        "from": ["2026-11-01", date.today().isoformat(), "never"],
        "granularity": ["hour", "day", "blink"],
        "model": ["m", ""],
        "project": [""],
        "provider": [""],
        "cursor": [],
    }
    answered = 0
    for _ in range(6):
        for endpoint in [endpoint_of(route) for route in READ if "{" not in route.path]:
            chosen = {name: [rng.choice(words.get(name, WORDS) or [""])] for name in rng.sample(NAMES, 6)}
            chosen.pop("cursor", None)
            found = coerce(document, endpoint, chosen)
            reply = await hub.http.get(f"{API}/{found.endpoint}", params=found.query, headers=headers)
            assert reply.status == 200, (endpoint, chosen, await reply.text())
            answered += 1
    assert answered >= 30
