"""What can go wrong on the agent. The message is one line for the user: what is wrong, and what to do.

AgentError
  LedgerError
    LedgerBusy            another process holds the lock; `pid` names it                       ask it, or retry
    LedgerMissing         nothing has been scanned into this data directory yet                stop
    LedgerTooNew          written by a later release                                           stop
    LedgerOutdated        made by an earlier release, and not ours to bring up to date now     retry
    LedgerUnusable        no permission, disk full, read-only, damaged: only the user can help stop
  NothingToForget         the ledger does not have what it is to forget                        stop
  NoSuchSession           none is called so, or several are: more of the name tells            stop
  WorkerDied              a parser process ended before its work; nothing written is lost      retry
  RootNotFound            `--root` or a setting points at a place without logs                 stop
  BadHostFile             host.json cannot be used: only the user can mend it                  stop
  NoDaemon                nobody listens on agent.sock                                         do it without
  DaemonLost              the daemon went away in the middle of a command, or does not know it retry
  PushError               it did not get to the hub; `retry_after` = the least wait that makes sense
    HubUnreachable        no connection, or it broke; whether a request arrived is unknown     retry
    HubFailed             the hub answered 5xx                                                 retry
    Busy                  the hub asks to come back later                                      retry
    PositionMismatch      the hub is elsewhere: ask where, and go on from there                retry
    TooLarge              the batch does not fit the hub's limits: send fewer rows             retry
    NotEnrolled           a hub is set, but this machine is not enrolled there                 stop
    WrongHubAddress       the address, or the private authority for it, makes no sense         stop
    NotAHub               something else answers at that address                               stop
    Unauthorized          the credential or the enrolment code is not accepted                 stop
    Refused               the hub refuses the request for what it says                         stop
    ProtocolMismatch      no common protocol: one side needs an upgrade                        stop
    HubTooOld             the hub cannot do what was asked for; the rest goes on               stop
    Forked                the hub has what this ledger never sent; nothing is sent             stop

The daemon tries the "stop" ones of the push again too, slowly: the hub's side may be mended.
"""

SLOW_SECONDS = 60.0


class AgentError(Exception):
    """Anything the agent raises on purpose."""


class LedgerError(AgentError):
    """The ledger cannot be used."""


class LedgerBusy(LedgerError):
    """Another process holds the ledger's lock. `pid` is None when it did not say."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"the ledger is in use by process {pid or '(unknown)'}: stop it, or try again when it is done")
        self.pid = pid


class LedgerMissing(LedgerError):
    """Nothing has been scanned into this data directory yet."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a later release."""


class LedgerOutdated(LedgerError):
    """The ledger is as an earlier release made it, and cannot be brought up to date now."""


class LedgerUnusable(LedgerError):
    """No permission, disk full, read-only or damaged: only the user can help."""


class NothingToForget(AgentError):
    """The ledger does not have that session or project, or has several."""


class NoSuchSession(AgentError):
    """No session is called so, or more than one."""


class WorkerDied(AgentError):
    """A parser process ended before its work was done. What was written stays; the next scan reads the rest."""


class RootNotFound(AgentError):
    """A root that was named does not exist or holds no logs of that harness."""


class BadHostFile(AgentError):
    """host.json cannot be used."""


class NoDaemon(AgentError):
    """Nobody listens on the socket."""


class DaemonLost(AgentError):
    """The daemon went away in the middle of a command, or is of another release that does not know it."""


class PushError(AgentError):
    """It did not get to the hub."""

    retry_after = 0.0


class HubUnreachable(PushError):
    """No connection, or it broke in the middle."""


class HubFailed(PushError):
    """The hub answered with an error of its own."""


class Busy(PushError):
    """429 or 503; `retry_after` is what the hub asked for."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PositionMismatch(PushError):
    """409: the batch does not continue where the hub is."""


class TooLarge(PushError):
    """413."""


class NotEnrolled(PushError):
    """A hub is set, but this machine is not enrolled there."""

    retry_after = SLOW_SECONDS


class WrongHubAddress(PushError):
    """Not the address of a hub."""

    retry_after = SLOW_SECONDS


class NotAHub(PushError):
    """Something else answers there."""

    retry_after = SLOW_SECONDS


class Unauthorized(PushError):
    """401 or 403; `code` is the hub's."""

    retry_after = SLOW_SECONDS

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Refused(PushError):
    """Any other 4xx; `code` is the hub's."""

    retry_after = SLOW_SECONDS

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ProtocolMismatch(PushError):
    """No common protocol."""

    retry_after = SLOW_SECONDS


class HubTooOld(PushError):
    """The hub does not name the feature that this needs."""

    retry_after = SLOW_SECONDS


class Forked(PushError):
    """The hub has what this ledger never sent."""

    retry_after = SLOW_SECONDS


def cause_of(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first in a group of tasks; what else ended with it follows from that."""
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
