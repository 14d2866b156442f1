"""What a route is: the one description from which requests are checked and the API's document is made."""

import re
from typing import Any, Literal

from aiohttp.typedefs import Handler
from msgspec import Struct

from trueup_hub.params import IN_PATH, Parameter

# whom a route lets in; nobody = no credentials needed, anybody = whoever has some
Need = Literal["nobody", "viewer", "admin", "host", "anybody"]


class Route(Struct, frozen=True):
    """What it is for says the docstring of its handler, the first sentence by itself.

    `takes`: its query parameters, others are refused; None = a page for a browser, whose query is not looked at.
    `answers`: the type of its JSON; media types where it answers something else; None = nothing.
    `sent`: the type of the body that it is sent; `| None` where the body may be left out.
    """

    method: str
    path: str
    handler: Handler
    need: Need
    takes: tuple[Parameter, ...] | None = ()
    answers: Any = None
    sent: Any = None
    statuses: tuple[int, ...] = (200,)  # when it did what was asked
    refuses: tuple[str, ...] = ()  # codes of errors beside those that follow from the rest of this
    etag: bool = False  # and 304 for who has that very answer
    stream: bool = False  # without a time limit: goes on as long as it takes
    slow: bool = False  # a body that may take minutes on a thin line

    @property
    def in_path(self) -> tuple[Parameter, ...]:
        return tuple(IN_PATH[name] for name in re.findall(r"\{(\w+)\}", self.path))
