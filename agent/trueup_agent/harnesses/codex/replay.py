"""Which lines at the start of a forked or spawned thread are a copy of its parent's history.

Copied requests keep their turn id, and where that is unique their event key is the parent's, so that the two join
whichever file is read first. What is found here then only says who owns them. Where turn ids are missing or short, the
copy is told by time alone (formats/codex.md, Dedup 2) and is not counted.
"""

from msgspec import Struct

BURST = 1_000_000  # microseconds: a copy is written in one go; no model answers that fast


class Replay(Struct):
    """`active`: the next line belongs to the copied prefix."""

    active: bool = False
    created_at: int | None = None
    last_at: int | None = None
    first_own_ordinal: int | None = None

    @classmethod
    def of_thread(
        cls, created_at: int | None, at: int | None, relationship: str | None, first_own_ordinal: int | None
    ) -> "Replay":
        """A fork copies always; a subagent only where its parent's header follows (`parent_header`)."""
        if first_own_ordinal is not None:
            return cls(first_own_ordinal > 0, created_at, at, first_own_ordinal)
        return cls(relationship == "fork", created_at, at)

    def parent_header(self, at: int | None) -> None:
        """The parent's session_meta: what follows is copied."""
        if self.first_own_ordinal is None:
            self.active = True
            if at is not None and (self.last_at is None or at > self.last_at):
                self.last_at = at

    def see(self, at: int | None, ordinal: int | None) -> None:
        """Any line after the header, before it is read."""
        if self.first_own_ordinal is not None and ordinal is not None:
            self.active = ordinal < self.first_own_ordinal
        elif at is not None and self.last_at is not None and at - self.last_at > BURST:
            self.active = False
        elif at is not None and (self.created_at is None or at >= self.created_at):
            self.last_at = at  # some builds keep the original dates, which lie before the thread itself
