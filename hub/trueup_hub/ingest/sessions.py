"""Sessions: the sums of each ledger's copy, which copy is chosen, and activity_slots, which count from chosen copies.

The chosen copy has the most messages by log2; between equals the host enrolled first, then the ledger. All of a
session's copies change under its row in `session_owners`.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from trueup_hub.db import Record
from trueup_hub.ingest.activity import Activity
from trueup_hub.ingest.messages import MessagePlan, write_messages
from trueup_hub.ingest.transaction import SessionDelta, Transaction
from trueup_hub.sqlfiles import load
from trueup_shared import keys
from trueup_shared.times import micros, moment
from trueup_shared.wire import SessionRow

_SQL = load("ingest")
_NO_MODEL = 0


class SessionPlan(Struct):
    """Session rows of a batch. `written` excludes those that the hub has already."""

    written: list[tuple[SessionRow, bytes]]
    renumbered: list[tuple[bytes, int]]  # unchanged, under another seq
    gone: set[bytes]
    stale: set[bytes]


class _Copies(Struct):
    """All copies of one session before the batch; `own` is this ledger's."""

    own: Record | None = None
    others: list[Record] = field(default_factory=list)


async def apply_sessions(
    tx: Transaction,
    incoming: list[tuple[SessionRow, bytes]],
    gone: set[bytes],
    refused: set[bytes],
    messages: MessagePlan,
    activity: Activity,
) -> None:
    """Write messages and session rows, add what the events added (tx.sessions), choose copies."""
    touched = {*tx.sessions, *messages.sessions, *(row.key for row, _ in incoming), *gone, *refused}
    if not touched and not messages.renumbered:
        return
    ordered = sorted(touched)
    await tx.connection.fetchval(_SQL["claim_sessions"], ordered, tx.host_no, tx.ledger_no)
    owners = {row[0]: tuple(row)[1:] for row in await tx.connection.fetch(_SQL["lock_sessions"], ordered)}
    copies = {key: _Copies() for key in ordered}
    for record in await tx.connection.fetch(_SQL["copies_of_sessions"], ordered):
        if record["ledger_no"] == tx.ledger_no:
            copies[record["session_key"]].own = record
        else:
            copies[record["session_key"]].others.append(record)

    plan = _plan_rows(tx, incoming, gone, refused, copies)
    chosen = await _choose(tx, copies, owners, messages, activity)
    _start_activity(tx, plan, copies, chosen, activity)
    for message in await write_messages(tx, messages):
        if message.session_key in chosen:
            activity.message(message, -1)
    for message in messages.written:
        if message.session_key in chosen:
            activity.message(message, 1)
    await _write_rows(tx, plan, copies, chosen)


def _plan_rows(
    tx: Transaction,
    incoming: list[tuple[SessionRow, bytes]],
    gone: set[bytes],
    refused: set[bytes],
    copies: dict[bytes, _Copies],
) -> SessionPlan:
    plan = SessionPlan(written=[], renumbered=[], gone=set(), stale=set())

    def stored(key: bytes) -> Record | None:
        own = copies[key].own
        return own if own is not None and own["row_digest"] is not None else None

    for row, digest in incoming:
        old = stored(row.key)
        if old is not None and old["row_digest"] == digest and not old["stale"]:
            tx.counts.unchanged += 1
            if old["seq"] != row.seq:
                plan.renumbered.append((row.key, row.seq))
            continue
        plan.written.append((row, digest))
        tx.account(keys.SESSIONS, row.key, digest, 1)
        if old is None:
            tx.counts.inserted += 1
        else:
            tx.counts.updated += 1
    plan.gone = {key for key in gone if stored(key) is not None}
    plan.stale = {key for key in refused if (old := stored(key)) is not None and not old["stale"]}
    tx.counts.removed += len(plan.gone)
    for key in (*plan.gone, *plan.stale, *(row.key for row, _ in plan.written)):
        if (old := stored(key)) is not None and not old["stale"]:
            tx.account(keys.SESSIONS, key, old["row_digest"], -1)
    return plan


async def _choose(
    tx: Transaction,
    copies: dict[bytes, _Copies],
    owners: dict[bytes, tuple[Any, ...]],
    messages: MessagePlan,
    activity: Activity,
) -> set[bytes]:
    """Decide which copy of each session is chosen, move what is stored between them; the sessions where it is ours."""
    for message in messages.written:
        _delta(tx, message.session_key).messages += 1
    for session_key in messages.live.values():
        _delta(tx, session_key).messages -= 1
    message_rows = {key: delta.messages for key, delta in tx.sessions.items()}
    order = await tx.precedence({tx.ledger_no, *(o["ledger_no"] for c in copies.values() for o in c.others)})
    chosen: set[bytes] = set()
    owned: list[tuple[Any, ...]] = []
    marked: list[tuple[Any, ...]] = []
    for key, found in copies.items():
        candidates = [(o["messages"], o["host_no"], o["ledger_no"]) for o in found.others if o["rows"] > 0]
        own_messages = found.own["messages"] if found.own is not None else 0
        own_rows = found.own["rows"] if found.own is not None else 0
        own_rows += tx.sessions[key].rows if key in tx.sessions else 0
        # Messages are counted as rows only when they are written, further down.
        own_rows += message_rows.get(key, 0)
        if own_rows > 0:
            candidates.append((own_messages + message_rows.get(key, 0), tx.host_no, tx.ledger_no))
        place: tuple[int, int] | None = None
        if candidates:
            _, host_no, ledger_no = min(candidates, key=lambda c: (-c[0].bit_length(), order[c[2]]))
            place = (host_no, ledger_no)
        if owners[key] != (place or (None, None)):
            owned.append((key, *(place or (None, None))))
        if place == (tx.host_no, tx.ledger_no):
            chosen.add(key)
        for copy in (*found.others, *((found.own,) if found.own is not None else ())):
            is_chosen = place == (copy["host_no"], copy["ledger_no"])
            if is_chosen != copy["chosen"]:
                marked.append((copy["host_no"], copy["ledger_no"], key, is_chosen))
                await _move_activity(tx, key, copy, 1 if is_chosen else -1, activity)
    for block, rows in (("set_session_owner", owned), ("choose_session", marked)):
        if rows:
            await tx.connection.executemany(_SQL[block], rows)
    return chosen


async def _move_activity(tx: Transaction, key: bytes, copy: Record, sign: int, activity: Activity) -> None:
    """A stored copy begins or ceases to be chosen."""
    if copy["messages"]:
        place = (copy["host_no"], copy["ledger_no"], key)
        rows = await tx.connection.fetch(_SQL["activity_of_copy"], *place, activity.user, activity.prompt)
        for slot, harness, project, model, count, prompts, tools in rows:
            activity.add((copy["host_no"], slot, harness, project, model), sign, count, prompts, int(tools), 0)
    if copy["row_digest"] is not None and not copy["stale"] and copy["started_at"] is not None:
        at = micros(copy["started_at"])
        activity.start(copy["host_no"], at, copy["harness"], copy["project"], sign)


def _start_activity(
    tx: Transaction, plan: SessionPlan, copies: dict[bytes, _Copies], chosen: set[bytes], activity: Activity
) -> None:
    """Starts of sessions whose own row comes, changes or goes."""
    for key in (*plan.gone, *plan.stale, *(row.key for row, _ in plan.written)):
        old = copies[key].own
        if key in chosen and old is not None and old["started_at"] is not None and not old["stale"]:
            activity.start(tx.host_no, micros(old["started_at"]), old["harness"], old["project"], -1)
    for row, _ in plan.written:
        if row.key in chosen:
            body = row.body
            activity.start(tx.host_no, body.started_at, tx.terms[body.harness], tx.terms[body.project], 1)


def _delta(tx: Transaction, key: bytes) -> SessionDelta:
    return tx.sessions.setdefault(key, SessionDelta())


async def _write_rows(tx: Transaction, plan: SessionPlan, copies: dict[bytes, _Copies], chosen: set[bytes]) -> None:
    place = (tx.host_no, tx.ledger_no)
    for row, _ in plan.written:
        _delta(tx, row.key)  # the row is put into a copy, which must be there
    ordered = sorted(tx.sessions.items())
    columns = [
        [key for key, _ in ordered],
        [delta.messages for _, delta in ordered],
        [delta.rows for _, delta in ordered],
        [delta.digest % keys.DIGEST_MODULUS for _, delta in ordered],
        [key in chosen for key, _ in ordered],
    ]
    if ordered:
        await tx.connection.execute(_SQL["add_to_sessions"], *place, *columns)
    for block, gone in (("clear_session", plan.gone), ("set_stale_session", plan.stale)):
        if gone:
            await tx.connection.executemany(_SQL[block], [(*place, key) for key in sorted(gone)])
    if plan.renumbered:
        await tx.connection.executemany(_SQL["renumber_session"], [(*place, *pair) for pair in plan.renumbered])
    if plan.written:
        await tx.connection.executemany(_SQL["put_session"], [_session_columns(tx, *pair) for pair in plan.written])
    emptied = [key for key, delta in ordered if delta.rows <= 0] + sorted(plan.gone - tx.sessions.keys())
    await _drop_empty(tx, emptied)


async def _drop_empty(tx: Transaction, keys_: Iterable[bytes]) -> None:
    arguments = [(tx.host_no, tx.ledger_no, key) for key in keys_]
    if arguments:
        await tx.connection.executemany(_SQL["drop_empty_sessions"], arguments)


def _session_columns(tx: Transaction, row: SessionRow, digest: bytes) -> tuple[Any, ...]:
    body, terms = row.body, tx.terms
    return (
        *(tx.host_no, tx.ledger_no, row.key, digest, row.seq, tx.batch_no, tx.data_version(body.harness)),
        *(row.source_key, terms[body.harness], terms[body.project], terms[body.relationship], terms[body.os_user]),
        moment(body.started_at) if body.started_at is not None else None,
        *(body.parent_key, body.session_id, body.git_branch, body.harness_version),
    )
