"""`trueup agent doctor` for people."""

from collections.abc import Sequence

import click

from trueup_agent.doctor import Finding, Place
from trueup_shared.terminal import printable

_MOST = 5  # names of a kind; --json has all of them


def show(findings: Sequence[Finding], at_length: bool) -> None:
    """Harnesses with logs at length, the others in a line each; all at length when they were asked for by name."""
    present = [f for f in findings if at_length or f.sources or f.ledger.sources or f.unreadable or not f.enabled]
    absent = [f for f in findings if f not in present]
    for finding in present:
        _show_one(finding, at_length)
    if absent:
        click.echo(
            "not found on this machine (`trueup agent doctor NAME` says where it was looked for, and what to do):"
        )
        width = max(len(finding.harness) for finding in absent)
        for finding in absent:
            click.echo(printable(f"  {finding.harness:<{width}}  {finding.name}{_evidence(finding)}"))


def _evidence(finding: Finding) -> str:
    return "" if finding.verified else ", unverified: its parser has seen no real recording"


def _show_one(finding: Finding, at_length: bool) -> None:
    click.echo(printable(f"{finding.harness}: {finding.name}{_evidence(finding)}"))
    _show_places(finding.places, at_length)
    gone = f", {finding.gone:,} read earlier are gone" if finding.gone else ""
    click.echo(f"  found       {finding.sources:,} logs, {_size(finding.bytes)}{gone}")
    of = finding.ledger
    click.echo(f"  ledger      {of.sessions:,} sessions, {of.messages:,} messages, {of.events:,} events")
    for label, counts in (("skipped", finding.skipped), ("unknown", finding.unknown)):
        if counts:
            click.echo(printable(f"  {label:<11} {_listed([f'{name} {n:,}' for name, n in counts.items()])}"))
    for path, reason in list(finding.unreadable.items())[:_MOST]:
        click.echo(printable(f"  not read    {path}: {reason}"))
    if len(finding.unreadable) > _MOST:
        click.echo(f"              and {len(finding.unreadable) - _MOST:,} more: --json has all of them")
    counters = [_counter(name, how) for name, how in finding.reports.items()]
    click.echo(printable(f"  reports     {', '.join(counters) or 'no tokens'}"))
    if finding.undercounts:
        click.echo(printable(f"  not logged  {'; '.join(finding.undercounts)}"))
    for advice in finding.advice:
        click.echo(printable(f"  to do       {advice}"))


def _show_places(places: Sequence[Place], at_length: bool) -> None:
    """Extensions have a place in every editor: unless asked for by name, absent ones beside others are a number."""
    shown = [place for place in places if at_length or place.state != "absent"] or places
    for place in shown:
        click.echo(printable(f"  looked in   {place.path}: {place.state}"))
    if len(shown) < len(places):
        click.echo(f"              and {len(places) - len(shown):,} that are absent")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def _counter(name: str, how: str) -> str:
    title = name.removesuffix("_tokens").replace("_", " ")
    return title if how == "exact" else f"{title} ({how})"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST:,} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
