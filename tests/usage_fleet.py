"""Twenty machines and three months of usage: every state that a host can be in, nearly every flag, and sessions with
something to tell. Made by the real protocol; only time, lost databases and damaged rows are made in SQL.

`HOSTS` says which host is there for what; tests/browser/test_hubs_with_data.py holds it against the hub.
"""

import random
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from hub_process import Hub
from machine import Machine
from trueup_hub.scrubbing import scrub_all, scrub_host
from trueup_shared import keys, wire
from trueup_shared.harnesses import DATA_VERSIONS
from usage_quarter import SECOND, Session, moment, rows_of, sessions

_SEED = 20
NOT_YET = 340  # changes that a host which is behind has and the hub has not
CONFLICT_OUTPUT = 4_096

FIRST_AGENT = wire.AgentInfo(version="0.0.1")
NEXT_AGENT = wire.AgentInfo(version="9.0.0", protocols=(1, 2), features=[*wire.FEATURES, "telepathy"])


class Host(Struct, frozen=True, kw_only=True):
    """`rate`: sessions a working day. `flags` that stand beside the state; `why` it is there."""

    label: str
    state: str = "converged"
    flags: Sequence[str] = ()
    harnesses: Sequence[str] = ("claude",)
    projects: Sequence[str | None] = ("website", "website", "api")
    rate: float = 0.5
    kind: str = "laptop"
    labels: dict[str, str] = {}
    platform: str = "macOS 15 arm64"


def _server(label: str, **about: Any) -> Host:
    return Host(label=label, kind="server", platform="Linux 6.12 x86_64", **about)


_WEB, _DATA, _OPS = {"team": "web", "site": "berlin"}, {"team": "data", "site": "lyon"}, {"team": "ops", "site": "fra"}
RESYNC = "needs_resync"

HOSTS = (
    Host(label="ana-mbp", labels=_WEB, harnesses=("claude", "claude", "codex"), rate=1.4),
    Host(label="bob-thinkpad", labels=_WEB, harnesses=("claude", "cursor"), rate=0.8),
    Host(label="chloe-mbp", labels=_DATA, harnesses=("gemini", "claude"), state="behind", projects=("forecasts", None)),
    _server("dmitri-desk", labels=_DATA, harnesses=("codex",), state="silent", projects=("forecasts",)),
    _server("ci-1", labels=_OPS, rate=0.9, projects=("website", "api", "compiler")),
    _server("ci-2", labels=_OPS, state="diverged", flags=(RESYNC, "corrected"), projects=("compiler",)),
    _server("ci-3", labels=_OPS, flags=("corrected",), projects=("compiler",)),
    _server(
        "gpu-1", labels={"team": "data"}, harnesses=("opencode",), flags=("drift_suspected",), projects=("forecasts",)
    ),
    _server("gpu-2", labels={"team": "data"}, harnesses=("opencode", "warp"), flags=(RESYNC, "rejected")),
    Host(label="eve-air", labels=_WEB, harnesses=("aider",), flags=("older_agent",)),
    _server("farid-nuc", harnesses=("copilot",), flags=("withheld", "newer_agent", "unknown_versions")),
    Host(label="grace-mini", labels=_DATA, harnesses=("zed",), flags=("clock_skew", "readmitted")),
    Host(label="hiro-xps", labels=_WEB, harnesses=("copilot", "claude"), state="behind", flags=("agent_error",)),
    Host(label="ines-mbp", labels=_DATA, harnesses=("warp", "claude"), flags=("old_data",)),
    _server("jonas-vm", labels=_OPS, state="forked", flags=(RESYNC, "shared_credential"), rate=0.3),
    Host(label="kate-new", labels=_WEB, state="never", rate=0),
    Host(label="leo-new", labels=_WEB, state="never", rate=0),  # its agent is heard of
    Host(label="mona-retired", labels=_DATA, harnesses=("gemini",), state="retired"),
    Host(label="nils-pi", harnesses=("codex",), flags=(RESYNC,), platform="Linux 6.6 aarch64", projects=("garden",)),
    _server("ops-runner", labels=_OPS, flags=(RESYNC,), projects=("api", "compiler"), rate=0.7),
)

# Sessions that are there for something.
LONG = Session(harness="claude", name="the-long-refactoring", at=moment(10, 9), turns=60, project="website")
_SUB = {"harness": "claude", "project": "website", "relationship": "subagent", "parent": LONG.key, "turns": 6}
SUBAGENTS = tuple(Session(name=f"refactoring-agent-{n}", at=moment(10, 10, n), **_SUB) for n in range(4))
SUBAGENT_ELSEWHERE = Session(name="refactoring-in-ci", at=moment(10, 11), **_SUB)
COPIED = Session(harness="claude", name="on-two-machines", at=moment(10, 13), turns=8, project="api")
CONFLICTING = Session(harness="claude", name="told-differently", at=moment(10, 14), turns=5, project="api")
SILENT = Session(harness="cursor", name="no-output-told", at=moment(61, 15), turns=5, project="website")  # alone there
UNPRICED = Session(harness="opencode", name="at-home", at=moment(10, 16), turns=5, project="forecasts")
OLD = Session(
    harness="claude", name="read-long-ago", at=moment(10, 17), turns=5, project="forecasts", flags=wire.OLD_DATA
)
NEWEST = Session(harness="claude", name="of-today", at=moment(0, 0, 1), turns=1, project="website")
_SPECIAL = {
    "ana-mbp": (LONG, *SUBAGENTS, COPIED, CONFLICTING, NEWEST),
    "bob-thinkpad": (COPIED, CONFLICTING, SILENT),
    "ci-1": (SUBAGENT_ELSEWHERE,),
    "gpu-1": (UNPRICED,),
    "ines-mbp": (OLD,),
}


async def fill(hub: Hub) -> dict[str, Machine]:
    """The machines by label. No host falls silent within a day but the one that is."""
    rng = random.Random(_SEED)
    machines = {}
    for host in HOSTS:
        about = {"kind": host.kind, "labels": host.labels, "platform": host.platform}
        machines[host.label] = machine = await hub.machine(host.label, **about)
        machine.rows.versions = _versions(host)
        if host.label == "grace-mini":  # the hub loses it, and knows it by its credential
            await hub.auth.db.execute("DELETE FROM hosts WHERE label = $1", host.label)
        if host.state != "never":
            await _push_usage(rng, host, machine)
            await machine.beat(**_told(host), sources=_sources(host, machine))
    await scrub_all(hub.auth.db)
    await _trouble(hub, machines)
    await hub.auth.db.execute("UPDATE hosts SET expected_silence_seconds = 86400 WHERE kind = 'server'")
    await _fall_silent(hub, machines["dmitri-desk"])
    return machines


async def _push_usage(rng: random.Random, host: Host, machine: Machine) -> None:
    until = 30 if host.state == "retired" else 0
    usual = sessions(rng, host.harnesses, host.projects, host.rate, until=until)
    for session in (*usual, *_SPECIAL.get(host.label, ())):
        # A session with a name is the same wherever it is found
        of_it = random.Random(session.name) if session in _SPECIAL.get(host.label, ()) else rng
        source = _source(machine, session.harness)
        for key, body in rows_of(of_it, session):
            machine.rows.put(key, _as_told_by(host, session, body), source)
    if host.label == "gpu-2":
        for n in range(3):
            machine.rows.put_raw(keys.EVENTS, keys.event_key("opencode", f"broken {n}"), {"1": 5})
    receipt = await machine.send(machine.rows.batch())
    assert receipt.verdict == "converged", receipt


def _as_told_by(host: Host, session: Session, body: wire.Body) -> wire.Body:
    """One request of a session is told with two outputs, both exact."""
    differs = host.label == "bob-thinkpad" and session == CONFLICTING and isinstance(body, wire.EventBody)
    if not differs or body.at != _first_request(session).at:
        return body
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    return wire.EventBody(**(fields | {"output_tokens": CONFLICT_OUTPUT, "lower_bounds": None}))


def _first_request(session: Session) -> wire.EventBody:
    rows = rows_of(random.Random(session.name), session)
    return next(body for _, body in rows if isinstance(body, wire.EventBody))


def _versions(host: Host) -> dict[str, wire.ParserVersion]:
    known = {name: DATA_VERSIONS[name] for name in host.harnesses}
    shift = {"nils-pi": -1, "farid-nuc": 1}.get(host.label, 0)
    return {name: wire.ParserVersion(version + shift, version + shift) for name, version in known.items()}


def _told(host: Host) -> dict[str, Any]:
    """What its heartbeat says beside what it has pushed."""
    match host.label:
        case "eve-air":
            return {"agent": FIRST_AGENT}
        case "farid-nuc":
            return {"agent": NEXT_AGENT, "withheld": ["events.27", "sessions.10"]}
        case "gpu-1":
            return {"drift_suspected": ["opencode"], "skipped_lines": 12, "unknown_records": 40}
        case "ines-mbp":
            return {"old_data": OLD.turns, "source_gone": 2, "skipped_lines": 6}
        case "hiro-xps":
            return {"last_error": "The disk of this machine is full: nothing was written to the ledger."}
        case "grace-mini":
            return {"label": host.label, "kind": host.kind, "platform": host.platform}
    return {}


def _source(machine: Machine, harness: str) -> bytes:
    return keys.key("source", machine.rows.ledger_id, harness)


def _sources(host: Host, machine: Machine) -> list[wire.SourceStatus]:
    """A log of each harness; two of one machine are gone, and where they were is known there."""
    found = []
    for harness in dict.fromkeys(host.harnesses):
        rows = sum(source == _source(machine, harness) for source in machine.rows.sources.values())
        said = {"harness": harness, "bytes_read": rows * 1_400, "lines": rows * 2, "unknown_records": 0}
        gone = host.label == "ines-mbp"
        path = f"/Users/ines/.{harness}/projects/-forecasts/log.jsonl" if gone else None
        lost = {"skipped_lines": 3 if gone else 0, "path": path, "state": "source_gone" if gone else "present"}
        found.append(wire.SourceStatus(key=_source(machine, harness), **(said | lost)))
    if host.label == "gpu-1":
        other = wire.SourceStatus(
            key=_source(machine, "another log"),
            harness="opencode",
            state="present",
            bytes_read=81_000,
            lines=300,
            skipped_lines=12,
            unknown_records=40,
        )
        found.append(other)
    return found


async def _trouble(hub: Hub, machines: dict[str, Machine]) -> None:
    for label in ("chloe-mbp", "hiro-xps"):
        machine, host = machines[label], next(host for host in HOSTS if host.label == label)
        await machine.beat(**_told(host), head_seq=machine.rows.seq + NOT_YET, pending=NOT_YET)
    skewed = machines["grace-mini"]
    await skewed.beat(sent_at=moment(0, 0) + 2 * 86_400 * SECOND, head_seq=skewed.rows.seq, pending=1)
    await machines["leo-new"].beat()
    await hub.administer("PATCH", f"hosts/{machines['mona-retired'].host_id}", retired=True)
    await _damage(hub, machines["ci-2"])
    await _repair(machines["ci-3"], await _damage(hub, machines["ci-3"]))
    await _two_machines(machines["jonas-vm"])
    await _ask_for_resync(hub, machines["ops-runner"], state="running", done=3, of=9, note="sending everything again")
    await _ask_for_resync(hub, machines["bob-thinkpad"], state="done", done=5, of=5, note="converged")
    await _ask_for_resync(hub, machines["nils-pi"], state="failed", done=1, of=4, note="the disk is full")


async def _ask_for_resync(hub: Hub, machine: Machine, **report: Any) -> None:
    await hub.administer("POST", f"hosts/{machine.host_id}/resync", reason="numbers look odd")
    [directive] = (await machine.beat()).directives
    await machine.beat(directives=[wire.DirectiveReport(id=directive.id, **report)])


async def _damage(hub: Hub, machine: Machine) -> tuple[int, bytes]:
    """Alter a row behind the hub's back and have it found."""
    db = hub.auth.db
    key = min(key for table, key in machine.rows.rows if table == keys.EVENTS)
    await db.execute("UPDATE events SET output_tokens = output_tokens + 7 WHERE event_key = $1", key)
    await scrub_host(db, await db.fetchval("SELECT host_no FROM hosts WHERE host_id = $1", machine.host_id))
    return keys.EVENTS, key


async def _repair(machine: Machine, place: tuple[int, bytes]) -> None:
    receipt = await machine.send(machine.rows.repair([place]))
    assert receipt.verdict == "converged", receipt


async def _two_machines(machine: Machine) -> None:
    """A copy of it goes on under the same credential, and so does it."""
    copy = machine.beside()
    copy.rows.versions = machine.rows.versions
    await copy.push(rows_of(random.Random(_SEED), Session(harness="claude", name="copy", at=moment(3, 9), turns=2)))
    await copy.beat()
    await machine.push(rows_of(random.Random(_SEED), Session(harness="claude", name="own", at=moment(2, 9), turns=2)))
    await machine.beat()


async def _fall_silent(hub: Hub, machine: Machine) -> None:
    """For two hours nothing of it was heard, with a server's patience."""
    number = "(SELECT host_no FROM hosts WHERE host_id = $1)"
    for sql in (
        "UPDATE hosts SET expected_silence_seconds = 900 WHERE host_id = $1",
        f"UPDATE host_status SET seen_at = seen_at - interval '2 h', sent_at = sent_at - interval '2 h'"
        f" WHERE host_no = {number}",
        "UPDATE ledgers SET last_batch_at = last_batch_at - interval '2 h', heard_at = heard_at - interval '2 h',"
        f" converged_at = converged_at - interval '2 h' WHERE host_no = {number}",
    ):
        await hub.auth.db.execute(sql, machine.host_id)
