"""What can go wrong at the hub.

HubError                    stop: one line that says what to do
├── DatabaseUnavailable     the database cannot be reached or used: wrong address, down, too new
├── EmbeddedPgError         the embedded PostgreSQL cannot be set up or started
├── AlreadyRunning          another hub has this data directory
├── InUse                   an agent or a scan that is not ours has the ledger
├── EnrolledElsewhere       this machine's ledger belongs to a hub that others share
└── Problem                 the answer to a request: never logged as an error
    ├── BadRequest          400: a parameter or body that makes no sense
    ├── NotFound            404
    ├── PositionMismatch    409: the agent asks for the position and goes on from there
    └── Busy                503: retry after a while
"""

from collections.abc import Mapping
from typing import Any, Literal


class HubError(Exception):
    """One line for the user, without a password."""


class DatabaseUnavailable(HubError):
    pass


class EmbeddedPgError(HubError):
    pass


class AlreadyRunning(HubError):
    pass


class InUse(HubError):
    pass


class EnrolledElsewhere(HubError):
    pass


class Problem(HubError):
    """What a client sees as a problem document. `code` is stable and documented; `members` are further facts in it."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.members = members or {}
        self.headers = headers or {}


class BadRequest(Problem):
    def __init__(self, code: str, detail: str, **members: Any) -> None:
        super().__init__(400, code, detail, members=members)


class NotFound(Problem):
    def __init__(self, detail: str) -> None:
        super().__init__(404, "not_found", detail)


class PositionMismatch(Problem):
    """A batch does not continue where the hub is. Carries the hub's position (a wire.Position)."""

    def __init__(self, reason: str, position: object) -> None:
        super().__init__(409, "position_mismatch", reason, members={"position": position})
        self.position = position


class Busy(Problem):
    """`retry_after` in seconds. `code` is `timeout` where something was begun and given up."""

    def __init__(self, reason: str, retry_after: int = 1, code: Literal["busy", "timeout"] = "busy") -> None:
        super().__init__(503, code, reason, headers={"Retry-After": str(retry_after)})
