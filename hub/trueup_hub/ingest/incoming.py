"""Decoded rows as copies of this ledger: digests of what was decoded, terms for dimensions, a price for events."""

import asyncio
from hashlib import blake2b

import msgspec

from trueup_hub.ingest.copies import EventCopy, MessageCopy
from trueup_hub.ingest.decode import Decoded
from trueup_hub.ingest.transaction import Transaction
from trueup_shared import digest_sets, keys, wire
from trueup_shared.metrics import BIT

_PAUSE_ROWS = 250  # other requests, and the database, get on meanwhile


def digest_of(table: int, row: wire.SessionRow | wire.MessageRow, digest_set: int) -> bytes:
    body = digest_sets.within(table, row.body, digest_set)
    return keys.row_digest_bytes(table, row.key, wire.encode_body(body), digest_set)


async def event_copies(tx: Transaction, decoded: Decoded) -> list[EventCopy]:
    if not decoded.events:
        return []
    assert tx.priced is not None  # who brings events says what they cost
    price_no, price = tx.priced.number, tx.priced.prices.price
    terms = tx.terms
    numbers_of = {
        names: (tx.data_version(names[0]), *(terms[name] for name in names)) for names in set(decoded.event_dimensions)
    }
    host_no, ledger_no, batch_no = tx.host_no, tx.ledger_no, tx.batch_no
    prefix, encode = bytes((tx.digest_set, keys.EVENTS)), digest_sets.encoder(keys.EVENTS, tx.digest_set)
    copies: list[EventCopy] = []
    for row, names in zip(decoded.events, decoded.event_dimensions, strict=True):
        key, b = row.key, row.body
        at, session_key = b.at, b.session_key
        assert at is not None and session_key is not None  # decode.py refused what has none
        digest = blake2b(prefix + key + encode(b), digest_size=16).digest()
        version, harness, provider, model, project, tier, speed, unit, status = numbers_of[names]
        b, unstated = (b, None) if version else without_zeros(b)
        fresh, read, write, write_1h, output = (
            b.input_tokens,
            b.cache_read_tokens,
            b.cache_write_tokens,
            b.cache_write_1h_tokens,
            b.output_tokens,
        )
        context, searches = b.context_tokens, b.web_searches
        # fmt: off
        nanousd, savings = price(b.provider, b.model, at, fresh, read, write, write_1h, output, b.service_tier, b.speed,
                                 context, searches, b.input_undivided_tokens, b.undivided_tokens)
        copies.append(EventCopy(
            at, row.seq, host_no, ledger_no, batch_no, version, price_no,
            harness, provider, model, project, tier, speed, unit, status, True, False,
            key, session_key, digest, nanousd, savings,
            fresh, read, write, write_1h, output, b.reasoning_tokens, b.input_undivided_tokens, b.undivided_tokens,
            context, searches, b.flags, b.time_quality, b.lower_bounds, b.derived, unstated,
            row.source_key, b.owner_key, b.reported_cost,
        ))
        # fmt: on
        if len(copies) % _PAUSE_ROWS == 0:
            await asyncio.sleep(0)
    return copies


def without_zeros(body: wire.EventBody) -> tuple[wire.EventBody, int | None]:
    """What is known of an event whose batch names no parser version (docs/adr/0007), and the counters that came as 0.

    Earlier tools write 0 where a log says nothing. A counter of 0 is unknown until a parser with a version says it.
    """
    zeros = [name for name in BIT if getattr(body, name) == 0]
    if not zeros:
        return body, None
    return msgspec.structs.replace(body, **dict.fromkeys(zeros)), sum(BIT[name] for name in zeros)


def message_copies(tx: Transaction, decoded: Decoded) -> list[MessageCopy]:
    terms = tx.terms
    copies: list[MessageCopy] = []
    for row in decoded.messages:
        b = row.body
        assert b.session_key is not None
        copies.append(
            MessageCopy(
                row.seq,
                tx.host_no,
                tx.ledger_no,
                tx.batch_no,
                tx.data_version(b.harness),
                terms[b.harness],
                terms[b.project],
                terms[b.model],
                terms[b.role],
                terms[b.kind],
                False,
                row.key,
                b.session_key,
                digest_of(keys.MESSAGES, row, tx.digest_set),
                b.at,
                b.size_chars,
                row.source_key,
                b.event_key,
                None if b.tool_names is None else [terms[name] for name in b.tool_names],
            )
        )
    return copies
