"""What can go wrong on the hub.

HubError
  Refused                 the request is at fault: answered as it says, never logged as an error    stop
    BadRequest            400: a parameter or body that makes no sense                              stop
    NotFound              404                                                                       stop
    PositionMismatch      409: a batch does not continue where the hub is; carries the position     ask again
  Busy                    503: serialization failures that did not end                              retry
  DatabaseUnavailable     503: no connection, or it broke                                           retry
  DatabaseProblem         wrong DSN, wrong version, migrations: only the user can mend it           stop
"""

from collections.abc import Mapping
from typing import Any


class HubError(Exception):
    """Anything the hub raises on purpose."""


class Refused(HubError):
    """The request is at fault. `code` is stable and documented; `members` go into the problem document."""

    status = 400

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


class BadRequest(Refused):
    """400. Further facts as keywords: `supported=[…]`."""

    def __init__(self, code: str, detail: str, **members: Any) -> None:
        super().__init__(400, code, detail, members=members)


class NotFound(Refused):
    """404."""

    def __init__(self, detail: str) -> None:
        super().__init__(404, "not_found", detail)


class PositionMismatch(Refused):
    """409: `position` (wire.Position) is where the hub is; the agent goes on from there."""

    def __init__(self, position: Any) -> None:
        super().__init__(
            409, "position_mismatch", "The batch does not continue where the hub is.", members={"position": position}
        )


class Busy(HubError):
    """Concurrent transactions kept colliding. Retry."""


class DatabaseUnavailable(HubError):
    """No connection, or it broke in the middle. Retry."""


class DatabaseProblem(HubError):
    """The database cannot be used as it is; the message is one line for the user, without a password. Stop."""
