"""The messages of a batch. Which copy of a session counts is decided in sessions.py, before they are written."""

from msgspec import Struct

from trueup_hub.db import Record
from trueup_hub.ingest.copies import MESSAGE_COLUMNS, MessageCopy, copy_stream, pack_message, stored_message
from trueup_hub.ingest.transaction import Transaction
from trueup_hub.sqlfiles import load
from trueup_shared import keys

_COLUMNS = ", ".join(MESSAGE_COLUMNS)
_SQL = {name: text.replace("{columns}", _COLUMNS) for name, text in load("ingest").items()}


class MessagePlan(Struct):
    """What a batch does to its ledger's messages."""

    new: list[MessageCopy]
    changed: list[MessageCopy]
    renumbered: list[tuple[bytes, int]]  # unchanged, under another seq
    gone: list[bytes]
    stale: list[bytes]
    live: dict[bytes, bytes]  # of stored rows that leave the sums: message key -> session key
    sessions: set[bytes]

    @property
    def written(self) -> list[MessageCopy]:
        return [*self.new, *self.changed]


async def plan_messages(
    tx: Transaction, incoming: list[MessageCopy], gone: set[bytes], refused: set[bytes]
) -> MessagePlan:
    """Only this ledger's batches change its messages, so what is read here holds until they are written."""
    plan = MessagePlan(new=[], changed=[], renumbered=[], gone=[], stale=[], live={}, sessions=set())
    own: dict[bytes, Record] = {}
    lookups = sorted({*gone, *refused, *(m.message_key for m in incoming)})
    if lookups:
        found = await tx.connection.fetch(_SQL["own_messages"], tx.host_no, tx.ledger_no, lookups)
        own = {row[0]: row for row in found}
    for message in incoming:
        stored = own.get(message.message_key)
        if stored is None:
            plan.new.append(message)
        elif stored["row_digest"] == message.row_digest and not stored["stale"]:
            tx.counts.unchanged += 1
            if stored["seq"] != message.seq:
                plan.renumbered.append((message.message_key, message.seq))
            continue
        else:
            plan.changed.append(message)
        plan.sessions.add(message.session_key)
    plan.gone = sorted(key for key in gone if key in own)
    plan.stale = sorted(key for key in refused if key in own and not own[key]["stale"])
    for key in (*plan.gone, *plan.stale, *(m.message_key for m in plan.changed)):
        plan.sessions.add(own[key]["session_key"])
        if not own[key]["stale"]:
            plan.live[key] = own[key]["session_key"]
    return plan


async def write_messages(tx: Transaction, plan: MessagePlan) -> list[MessageCopy]:
    """Write the plan; the rows that left the sums."""
    place = (tx.host_no, tx.ledger_no)
    left: list[MessageCopy] = []
    removed = [(*place, key) for key in (*plan.gone, *sorted(m.message_key for m in plan.changed))]
    for record in await tx.each(_SQL["remove_message"], removed):
        copy = stored_message(record)
        if not copy.stale:
            left.append(copy)
    left += [
        stored_message(record)
        for record in await tx.each(_SQL["set_stale_message"], [(*place, key) for key in plan.stale])
    ]
    for copy in left:
        tx.account(keys.MESSAGES, copy.session_key, copy.row_digest, -1)
    if plan.renumbered:
        await tx.connection.executemany(_SQL["renumber_message"], [(*place, *pair) for pair in plan.renumbered])
    written = plan.written
    for message in written:
        tx.account(keys.MESSAGES, message.session_key, message.row_digest, 1)
    if written:
        packed = (pack_message(message) for message in written)
        await tx.connection.copy_to_table(
            "messages", source=copy_stream(packed), columns=MESSAGE_COLUMNS, format="binary"
        )
    tx.counts.inserted += len(plan.new)
    tx.counts.updated += len(plan.changed)
    tx.counts.removed += len(plan.gone)
    return left
