"""Telling apart what a producer gives no name that lasts."""

from msgspec import Struct

_MAX_SEEN = 256  # different things at one moment


class Twins(Struct):
    """Numbers entries that say the same at the same moment. Part of a parser's state.

    An entry that is copied into another file gets the same number there, since its twins are copied with it.
    """

    at: int | None = None
    seen: dict[str, list[str]] = {}

    def number(self, at: int | None, what: str, name: str | None = None) -> int:
        """0 for the first such entry. `name` is its own where it has one: the same name is the same entry again."""
        if at != self.at or len(self.seen) >= _MAX_SEEN:
            self.at, self.seen = at, {}
        entries = self.seen.setdefault(what, [])
        if name is not None and name in entries:
            return entries.index(name)
        entries.append(name or "")
        return len(entries) - 1
