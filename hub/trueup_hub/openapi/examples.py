"""Questions and answers of a real hub with a small fixed set of data: what documents show, and a test asks anew.

`make examples` writes examples.json. What differs from run to run is written as tests/api_examples.py says.
"""

import shlex
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from trueup_hub.route import Route

FILE = Path(str(files("trueup_hub"))) / "openapi" / "examples.json"


class Question(Struct, frozen=True, kw_only=True):
    """`operation`: the name of a handler. `asks`: parameters of the path and of the query."""

    operation: str
    name: str
    says: str  # what it asks, in words
    asks: dict[str, str] = {}
    body: Any = None
    accept: str = ""

    def address(self, route: Route) -> str:
        in_path = {parameter.name: self.asks[parameter.name] for parameter in route.in_path}
        query = urlencode({name: value for name, value in self.asks.items() if name not in in_path}, safe=":,/")
        return route.path.format(**in_path) + (f"?{query}" if query else "")

    def curl(self, route: Route) -> str:
        """The same for a shell; HUB is the hub's address."""
        words = ["curl"]
        if route.method != "GET":
            words += ["-X", route.method]
        if route.need == "host":
            words += ["-H", '"Authorization: Bearer $CREDENTIAL"']
        elif route.need != "nobody":
            words += ["-H", '"Authorization: Bearer $TOKEN"']
        if self.accept:
            words += ["-H", f"'Accept: {self.accept}'"]
        if self.body is not None:
            words += ["-H", "'Content-Type: application/json'"]
            words += ["-d", shlex.quote(msgspec.json.encode(self.body).decode())]
        return " ".join([*words, f'"$HUB{self.address(route)}"'])


class Example(Question, frozen=True, kw_only=True):
    status: int
    media_type: str
    answer: Any  # text where it is no JSON


@cache
def load() -> tuple[Example, ...]:
    return msgspec.json.decode(FILE.read_bytes(), type=tuple[Example, ...])
