"""What a route is: the one description from which requests are checked and the API's document is made."""

from typing import Any, Literal

from aiohttp.typedefs import Handler
from msgspec import Struct

from trueup_hub.params import Parameter

# whom a route lets in; nobody = no credentials needed, anybody = whoever has some
Need = Literal["nobody", "viewer", "admin", "host", "anybody"]


class Route(Struct, frozen=True):
    """`takes`: its query parameters, others are refused; None = not looked at. `answers`: the type of its JSON."""

    method: str
    path: str
    handler: Handler
    need: Need
    takes: tuple[Parameter, ...] | None = ()
    answers: Any = None
    stream: bool = False  # without a time limit: goes on as long as it takes
    slow: bool = False  # a body that may take minutes on a thin line
