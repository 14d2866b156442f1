"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

# Logs of CI and cron are read later: a line every few seconds says that it lives.
PLAIN_SECONDS = 5.0

Show = Callable[[int, int], None]  # done, of
ShowStage = Callable[[str, int, int, str], None]  # what, done, of (0: nobody knows), unit


@contextmanager
def bar(what: str, unit: str) -> Iterator[Show]:
    """`show(done, of)` may be called as often as one likes. Nothing is shown for what is done in a moment."""
    with stages(what) as show:
        yield lambda done, of: show(what, done, of, unit)


@contextmanager
def stages(first: str) -> Iterator[ShowStage]:
    """The same for work in stages: a bar for each on a terminal, a line when it begins elsewhere."""
    if sys.stderr.isatty():
        yield from _rich_bars(first)
    else:
        yield from _plain_lines(first)


def _rich_bars(first: str) -> Iterator[ShowStage]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {first: progress.add_task(first, total=None, count="")}

        def show(what: str, done: int, of: int, unit: str) -> None:
            if what not in tasks:
                for task in tasks.values():
                    progress.remove_task(task)
                tasks.clear()
                tasks[what] = progress.add_task(what, total=None, count="")
            progress.update(tasks[what], completed=done, total=of or None, count=_amount(done, of, unit))

        yield show


def _plain_lines(first: str) -> Iterator[ShowStage]:
    last, stage = time.monotonic(), first

    def show(what: str, done: int, of: int, unit: str) -> None:
        nonlocal last, stage
        if what != stage or time.monotonic() - last >= PLAIN_SECONDS:
            last, stage = time.monotonic(), what
            amount = _amount(done, of, unit)
            click.echo(f"{what}: {amount}" if amount else what, err=True)

    yield show


def _amount(done: int, of: int, unit: str) -> str:
    if not of:
        return f"{done:,} {unit}" if done else ""
    if unit == "bytes":
        return f"{done / 1e6:,.1f} of {of / 1e6:,.1f} MB"
    return f"{done:,} of {of:,} {unit}"
