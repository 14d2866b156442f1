"""What the agent's commands have in common: settings, errors as one line, signals, the way to the ledger's writer."""

import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import msgspec

from trueup_agent import errors, settings
from trueup_agent.settings import Loaded
from trueup_shared import settings as shared_settings
from trueup_shared.cli import Failure, Globals, HubUnreachable, WrongUsage, set_up_logs
from trueup_shared.settings import SettingError

T = TypeVar("T")

NOT_ENROLLED = "this machine is not enrolled at a hub: run `trueup agent enroll URL --code CODE`"

# Another command may hold the ledger for a moment; a first scan for minutes.
WAIT_SECONDS = 60.0


def load(given: Globals, **flags: Any) -> Loaded:
    """The settings as flags, environment and file give them. Exit status 2 when one is wrong."""
    data_dir = given.data_dir or shared_settings.default_data_dir()
    try:
        return settings.load(data_dir.expanduser(), given.config, os.environ, flags)
    except SettingError as error:
        raise WrongUsage(str(error)) from None


@contextmanager
def one_line() -> Iterator[None]:
    """The agent's errors as the line and exit status that the user gets."""
    try:
        yield
    except (errors.HubUnreachable, errors.Busy) as error:
        raise HubUnreachable(str(error)) from None
    except (errors.WrongHubAddress, errors.RootNotFound) as error:
        raise WrongUsage(str(error)) from None
    except errors.AgentError as error:
        raise Failure(str(error)) from None


def run(work: Coroutine[Any, Any, T], logs: bool = True) -> T:
    """Run a command's work. The first signal stops it between two transactions, a second one at once."""
    try:
        import asyncio

        from trueup_agent.signals import stopped_by_signals

        if logs:
            set_up_logs()

        async def main() -> T:
            task = asyncio.ensure_future(work)
            with stopped_by_signals(task.cancel):
                return await task

        with one_line():
            try:
                return asyncio.run(main())
            except asyncio.CancelledError:
                raise Failure("stopped before it was done; nothing is lost, the next run goes on from here") from None
    finally:
        work.close()  # of work that a signal came before, Python would say that it was never awaited


async def with_ledger(loaded: Loaded, here: Callable[[Any], Awaitable[T]], there: Callable[[], Awaitable[T]]) -> T:
    """Do `here` with the ledger open for writing, or `there` (ask the daemon) when a daemon has it.

    Waits for another command that is at it. Raises LedgerBusy when that takes longer than a minute.
    """
    import asyncio

    from trueup_agent.ledger import Ledger

    deadline = time.monotonic() + WAIT_SECONDS
    waiting = False
    while True:
        try:
            ledger = await Ledger.open(loaded.data_dir, loaded.agent.policy)
        except errors.LedgerBusy as busy:
            try:
                return await there()
            except errors.NoDaemon:
                if time.monotonic() > deadline:
                    raise busy from None
                if not waiting:
                    click.echo(f"trueup: waiting for process {busy.pid}, which is writing this ledger", err=True)
                    waiting = True
                await asyncio.sleep(0.2)
            continue
        try:
            return await here(ledger)
        finally:
            await ledger.close()


def print_json(document: Any) -> None:
    """One document on stdout."""
    click.echo(msgspec.json.encode(document))


def first_error(group: BaseExceptionGroup[Exception]) -> Exception:
    """What brought the daemon down: its own words if it is ours, else a line, with the trace in the log."""
    ours, others = group.split(errors.AgentError)
    error = errors.cause_of(others or ours or group)
    if isinstance(error, errors.AgentError):
        return error
    import structlog

    structlog.get_logger().error("task_died", exc_info=error)
    return Failure(f"the agent stopped because a task of it failed: {type(error).__name__}: {error}")
