"""What the documents of the API show was answered by a hub, and is answered so again."""

import os

import msgspec

from api_examples import asked, fill
from hub_client import HubClient
from trueup_hub.openapi import examples
from trueup_hub.routes import ROUTES

FILE = examples.FILE


async def test_every_example_is_what_a_hub_answers(hub: HubClient) -> None:
    """`make examples` sets WRITE_EXAMPLES: what a hub answers now is written instead of compared."""
    found = await asked(hub, await fill(hub))
    if os.environ.get("WRITE_EXAMPLES"):
        FILE.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        examples.load.cache_clear()
    for shown, answered in zip(examples.load(), found, strict=True):
        assert msgspec.to_builtins(shown) == msgspec.to_builtins(answered), f"{shown.says}. Run: make examples"


def test_every_route_for_people_has_an_example() -> None:
    shown = {example.operation for example in examples.load()}
    people = {route.handler.__name__ for route in ROUTES if route.need in ("viewer", "admin", "anybody")}
    assert people - shown == {"get_events", "get_metrics"}  # a stream; numbers of the process
