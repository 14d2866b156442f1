"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

# Logs of CI and cron are read later: a line every few seconds says that it lives.
PLAIN_SECONDS = 5.0

Show = Callable[[int, int], None]  # done, of


@contextmanager
def bar(what: str, unit: str) -> Iterator[Show]:
    """`show(done, of)` may be called as often as one likes. Nothing is shown for what is done in a moment."""
    if sys.stderr.isatty():
        yield from _rich_bar(what, unit)
    else:
        yield from _plain_lines(what, unit)


def _rich_bar(what: str, unit: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _plain_lines(what: str, unit: str) -> Iterator[Show]:
    last = time.monotonic()

    def show(done: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_SECONDS:
            last = time.monotonic()
            click.echo(f"{what}: {done:,} of {of:,} {unit}", err=True)

    yield show
