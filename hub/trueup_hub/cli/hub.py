"""`trueup hub …`: the hub's process and its administration."""

import asyncio
import contextlib
import json
import os
import sys
import time
from datetime import timedelta
from uuid import UUID

import click
import msgspec

from trueup_hub import hosts
from trueup_hub.app import serving
from trueup_hub.auth import Auth
from trueup_hub.cli.ask import ask
from trueup_hub.cli.loading import (
    Duration,
    data_dir_of,
    load_settings,
    run_until_signal,
    run_with_auth,
    show,
    table,
)
from trueup_hub.cli.maintenance import backup, reprice, restore, verify
from trueup_hub.enrolment import MOST_USES, EnrollCode, clean_label, new_enroll_code
from trueup_hub.errors import HubError, NotFound
from trueup_hub.ingest import forgetting
from trueup_hub.live import announce_host
from trueup_hub.reports import HostReport
from trueup_hub.running import Running, claimed, running_hub
from trueup_hub.settings import HubSettings
from trueup_shared.cli import Failure, Globals, WrongUsage

_ACTOR = "command line"
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group()
def hub() -> None:
    """The hub: adds up the ledgers of all machines."""


for command in (verify, reprice, backup, restore, ask):
    hub.add_command(command)


@hub.command()
@click.option("--host", help="Address to listen on (default 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (default 8787).")
@as_json
@click.pass_obj
def serve(given: Globals, host: str | None, port: int | None, as_json: bool) -> None:
    """Serve the hub: on TRUEUP_DATABASE_URL, or on a PostgreSQL of its own."""

    async def main(stopping: asyncio.Event) -> None:
        settings = load_settings(given, data_dir_of(given), host=host, port=port)
        with contextlib.ExitStack() as held:
            tell = held.enter_context(claimed(settings.hub_dir)) if settings.database_url is None else None
            async with serving(settings, stopping) as running:
                if tell is not None:
                    tell(Running(pid=os.getpid(), url=running.url, database_url=running.database_url))
                about = {"url": running.url, "pid": os.getpid(), "data_dir": str(settings.data_dir)}
                click.echo(json.dumps(about) if as_json else running.url)
                await running.wait()

    run_until_signal(main)


@hub.command()
@as_json
@click.pass_obj
def migrate(given: Globals, as_json: bool) -> None:
    """Bring the database to the schema of this release. `serve` does that by itself."""

    async def work(auth: Auth, settings: HubSettings) -> int:
        number: int = await auth.db.fetchval("SELECT max(number) FROM migrations")
        return number

    number = run_with_auth(given, work)
    show({"schema": number}, as_json, f"The database has schema {number}.")


@hub.group()
def token() -> None:
    """Access tokens for people and scripts."""


@token.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "admin"]), default="viewer", show_default=True)
@click.option("--expires", type=Duration(), default="never", show_default=True, help="30m, 12h, 1d, 2w or never.")
@as_json
@click.pass_obj
def token_create(given: Globals, name: str, role: str, expires: timedelta | None, as_json: bool) -> None:
    """Make a token called NAME. It is shown once."""

    async def work(auth: Auth, settings: HubSettings) -> str:
        clean = clean_label(name, "NAME")
        return await auth.make_token("admin" if role == "admin" else "viewer", clean, expires, _ACTOR)

    made = run_with_auth(given, work)
    show({"name": name, "role": role, "token": made}, as_json, made)


@token.command("list")
@as_json
@click.pass_obj
def token_list(given: Globals, as_json: bool) -> None:
    """All tokens, revoked ones too; never the tokens themselves."""
    tokens = run_with_auth(given, lambda auth, settings: auth.tokens())
    rows: list[tuple[object, ...]] = [
        (t.token_no, t.name, t.role, _day(t.created_at), _day(t.expires_at), _day(t.last_used_at), _day(t.revoked_at))
        for t in tokens
    ]
    header = ("NO", "NAME", "ROLE", "CREATED", "EXPIRES", "LAST USED", "REVOKED")
    show({"tokens": msgspec.to_builtins(tokens)}, as_json, table(rows, header))


@token.command("revoke")
@click.argument("number", type=int)
@as_json
@click.pass_obj
def token_revoke(given: Globals, number: int, as_json: bool) -> None:
    """Revoke the token with this NUMBER, and the browser sessions that it opened."""

    async def work(auth: Auth, settings: HubSettings) -> None:
        if not await auth.revoke_token(number, _ACTOR):
            raise HubError(f"there is no token {number} that is not revoked already: see trueup hub token list")

    run_with_auth(given, work)
    show({"revoked": number}, as_json, f"Token {number} is revoked.")


@hub.command("enroll-code")
@click.option(
    "--uses", type=click.IntRange(0, MOST_USES), default=1, show_default=True, help="How many machines; 0 = any number."
)
@click.option("--expires", type=Duration(), default="1d", show_default=True, help="30m, 12h, 1d, 2w or never.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="A label for each host (repeatable).")
@as_json
@click.pass_obj
def enroll_code(given: Globals, uses: int, expires: timedelta | None, labels: tuple[str, ...], as_json: bool) -> None:
    """Make a code with which a machine enrols: trueup agent enroll URL --code CODE."""
    pairs = {}
    for label in labels:
        name, equals, value = label.partition("=")
        if not (name.strip() and equals) or ":" in name:
            raise WrongUsage(f"--label '{label}': write NAME=VALUE, with no ':' in the name")
        pairs[name] = value

    async def work(auth: Auth, settings: HubSettings) -> EnrollCode:
        return await new_enroll_code(auth.db, _ACTOR, uses=uses or None, life=expires, labels=pairs)

    made = run_with_auth(given, work)
    show({**msgspec.to_builtins(made), "labels": pairs}, as_json, made.code)


@hub.command("login-url")
@as_json
@click.pass_obj
def login_url(given: Globals, as_json: bool) -> None:
    """Make a URL that logs a browser in as administrator, once, within ten minutes."""

    async def work(auth: Auth, settings: HubSettings) -> str:
        running = running_hub(settings.hub_dir)
        base = (running and running.url) or settings.url(settings.port)
        return f"{base}/login?code={await auth.make_login_code('admin')}"

    url = run_with_auth(given, work)
    show({"url": url}, as_json, url)


@hub.group("host")
def host_group() -> None:
    """Machines that were enrolled."""


@host_group.command("list")
@as_json
@click.pass_obj
def host_list(given: Globals, as_json: bool) -> None:
    """All hosts with their state, what stands beside it, why and what to do."""
    reports = run_with_auth(given, lambda auth, settings: hosts.list_hosts(auth.db))
    rows = [row for report in reports for row in host_rows(report)]
    header = ("HOST", "LABEL", "LAST SEEN", "STATE", "WHY AND WHAT TO DO")
    show({"hosts": msgspec.to_builtins(reports)}, as_json, table(rows, header))


def host_rows(report: HostReport) -> list[tuple[object, ...]]:
    """One line for the state and one for each flag."""
    first = (report.host_id, report.label, _day(report.last_seen_at), report.state)
    lines: list[tuple[object, ...]] = [(*first, f"{report.reason} {report.action}".strip())]
    return lines + [("", "", "", f"  {flag.flag}", f"{flag.reason} {flag.action}".strip()) for flag in report.flags]


@host_group.command("rename")
@click.argument("host")
@click.argument("label")
@as_json
@click.pass_obj
def host_rename(given: Globals, host: str, label: str, as_json: bool) -> None:
    """Call HOST (its id or label) LABEL from now on."""

    async def work(auth: Auth, settings: HubSettings) -> UUID:
        host_id, new = await _find(auth, host), clean_label(label)
        await hosts.change_host(auth.db, host_id, new, None)
        await auth.note(_ACTOR, "host.change", str(host_id), {"label": new})
        await announce_host(auth.db, str(host_id))
        return host_id

    host_id = run_with_auth(given, work)
    show({"host_id": host_id, "label": label}, as_json, f"{host_id} is now called {label}.")


@host_group.command("retire")
@click.argument("host")
@as_json
@click.pass_obj
def host_retire(given: Globals, host: str, as_json: bool) -> None:
    """End the access of HOST (its id or label) at once. What it sent stays and counts."""

    async def work(auth: Auth, settings: HubSettings) -> UUID:
        host_id = await _find(auth, host)
        await hosts.retire_host(auth, host_id, _ACTOR)
        await announce_host(auth.db, str(host_id))
        return host_id

    host_id = run_with_auth(given, work)
    show({"host_id": host_id}, as_json, f"{host_id} is retired.")


@host_group.command("forget")
@click.argument("host")
@click.option("--yes", is_flag=True, help="Do not ask, on a terminal either.")
@as_json
@click.pass_obj
def host_forget(given: Globals, host: str, yes: bool, as_json: bool) -> None:
    """Remove HOST (its id or label) and all it sent. Its access ends at once; its rows go in chunks.

    What its copies set aside counts again. Interrupted, the hub goes on by itself.
    """
    if not yes and sys.stdin.isatty():
        host = str(run_with_auth(given, lambda auth, _: _find(auth, host)))
        if not click.confirm(f"end the access of {host} and remove all it sent, for good?", err=True):
            raise Failure("nothing was forgotten")

    async def work(auth: Auth, settings: HubSettings) -> tuple[UUID, int]:
        host_id, removed, told = await _find(auth, host), 0, time.monotonic()
        await forgetting.begin(auth, host_id, _ACTOR)
        async for step in forgetting.forget_host(auth.db, host_id):
            removed = step.removed
            if step.left and time.monotonic() > told + 1:
                click.echo(f"{step.removed} rows removed, {step.left} are left", err=True)
                told = time.monotonic()
        return host_id, removed

    host_id, removed = run_with_auth(given, work)
    show({"host_id": host_id, "removed": removed}, as_json, f"{host_id} is forgotten: {removed} rows removed.")


async def _find(auth: Auth, wanted: str) -> UUID:
    """A host by its id or its label; the label must be one host's only."""
    found = [r.host_id for r in await hosts.list_hosts(auth.db) if wanted in (str(r.host_id), r.label)]
    if len(found) > 1:
        raise HubError(f"{len(found)} hosts are called '{wanted}': give the id instead (trueup hub host list)")
    if not found:
        raise NotFound(f"there is no host '{wanted}': see trueup hub host list")
    return found[0]


def _day(at: object) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M}"
