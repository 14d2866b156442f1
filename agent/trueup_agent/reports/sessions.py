"""Sessions by what they are called: a list of what each used, and one that is found by the beginning of its name."""

from typing import Any

from msgspec import Struct, structs

from trueup_agent.errors import NoSuchSession
from trueup_agent.ledger import LedgerReader
from trueup_agent.reports.details import Details, local, utc
from trueup_agent.reports.names import Key, project_of
from trueup_agent.reports.query import Report, Selection, make_report
from trueup_agent.reports.sums import Sums

_FIELDS = "key, session_id, harness, project_path, started_at, relationship, parent_key"
_LISTED = 8  # of sessions that a name may mean


class Head(Struct, frozen=True, kw_only=True):
    """What is known of a session beside its usage. `name`: what its harness calls it, else its key in hexadecimal."""

    key: bytes
    name: str
    harness: str | None = None
    project: str | None = None
    started_at: int | None = None  # µs UTC
    relationship: str | None = None  # subagent | fork | resume
    parent: str | None = None


def heads(reader: LedgerReader) -> dict[str, Head]:
    """By key in hexadecimal. A session without a row of its own has none."""
    return {row[0].hex(): _head(row) for row in reader.query(f"SELECT {_FIELDS} FROM sessions")}


def session_report(reader: LedgerReader, selection: Selection, dimensions: tuple[str, ...]) -> tuple[Report, Details]:
    """A row for each session (and further dimension), the one that was used last first."""
    report = make_report(reader, selection, ("session_key", *dimensions))
    report.rows.sort(key=lambda row: (-(row[1].last_at or 0), tuple(value or "" for value in row[0])))
    known = heads(reader)
    fields, cells, rows = list[dict[str, Any]](), list[tuple[str, ...]](), list[tuple[Key, Sums]]()
    for (key, *others), sums in report.rows:
        assert key is not None
        head = known.get(key) or Head(key=bytes.fromhex(key), name=key)
        rows.append(((head.name, *others), sums))
        fields.append(fields_of(head) | {"first_at": utc(sums.first_at), "last_at": utc(sums.last_at)})
        cells.append((head.harness or "", head.project or "", local(sums.last_at, selection.timezone)))
    report.rows, report.dimensions = rows, ("session", *dimensions)
    return report, Details(fields=fields, titles=("harness", "project", "last used"), cells=cells)


def one_session(
    reader: LedgerReader, selection: Selection, dimensions: tuple[str, ...], wanted: str
) -> tuple[Report, Details]:
    """The session that `wanted` means, divided. Raises NoSuchSession."""
    head = find_session(reader, wanted)
    report = make_report(reader, structs.replace(selection, session=head.key), dimensions)
    told = [head.name, head.harness, head.project, head.relationship]
    started = f"started {local(head.started_at, selection.timezone)}" if head.started_at else None
    line = " · ".join(part for part in (*told, started) if part)
    return report, Details(heads=(line,), of_all={"session": {"name": head.name} | fields_of(head)})


def fields_of(head: Head) -> dict[str, Any]:
    """For scripts."""
    return {
        "session_key": head.key.hex(),
        "harness": head.harness,
        "project": head.project,
        "started_at": utc(head.started_at),
        "relationship": head.relationship,
        "parent": head.parent,
    }


def find_session(reader: LedgerReader, wanted: str) -> Head:
    """The session whose name or key is, else alone begins with, `wanted`. NoSuchSession names those that it may be."""
    rows = reader.query(
        f"SELECT {_FIELDS} FROM sessions"
        " WHERE substr(session_id, 1, ?1) = ?2 OR substr(lower(hex(key)), 1, ?1) = lower(?2)"
        " ORDER BY started_at DESC, session_id",
        (len(wanted), wanted),
    )
    exact = [row for row in rows if wanted == row[1] or wanted.lower() == row[0].hex()]
    named = [row for row in rows if row[1].startswith(wanted)]
    found = [_head(row) for row in exact or named or rows]
    if not found:
        found = [
            Head(key=key, name=key.hex())
            for (key,) in reader.query(
                "SELECT DISTINCT session_key FROM events WHERE substr(lower(hex(session_key)), 1, ?) = lower(?)",
                (len(wanted), wanted),
            )
        ]
    if not found:
        raise NoSuchSession(f"no session is called {wanted}: `trueup usage sessions` lists them")
    if len(found) > 1:
        some = ", ".join(f"{head.name} ({head.harness or 'unknown'})" for head in found[:_LISTED])
        more = f" and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
        raise NoSuchSession(f"{wanted} may be {some}{more}: write more of it")
    return found[0]


def _head(row: Any) -> Head:
    key, session_id, harness, project_path, started_at, relationship, parent = row
    return Head(
        key=key,
        name=session_id or key.hex(),
        harness=harness or None,
        project=project_of(project_path),
        started_at=started_at,
        relationship=relationship,
        parent=parent.hex() if parent else None,
    )
