"""Decoded rows as copies of this ledger: dimensions become terms, events get their price."""

from trueup_hub.ingest.copies import EventCopy, MessageCopy
from trueup_hub.ingest.decode import Decoded, event_dimensions
from trueup_hub.ingest.transaction import Transaction
from trueup_shared import prices


def event_copies(tx: Transaction, decoded: Decoded, price_no: int) -> list[EventCopy]:
    known: dict[tuple[str | None, ...], tuple[int, ...]] = {}
    host_no, ledger_no, batch_no, cost = tx.host_no, tx.ledger_no, tx.batch_no, prices.cost_nanousd
    copies: list[EventCopy] = []
    for row, digest in decoded.events:
        b = row.body
        at, session_key = b.at, b.session_key
        assert at is not None and session_key is not None  # decode.py refused what has none
        dimensions = event_dimensions(b)
        numbers = known.get(dimensions)
        if numbers is None:
            numbers = known[dimensions] = (tx.data_version(b.harness), *(tx.terms[name] for name in dimensions))
        version, harness, provider, model, project, tier, speed, unit, status = numbers
        nanousd = cost(
            b.provider,
            b.model,
            at,
            b.input_tokens,
            b.cache_read_tokens,
            b.cache_write_tokens,
            b.cache_write_1h_tokens,
            b.output_tokens,
            b.service_tier,
            b.speed,
            b.context_tokens,
            b.web_searches,
        )
        copies.append(
            EventCopy(
                at,
                row.seq,
                host_no,
                ledger_no,
                batch_no,
                version,
                price_no,
                harness,
                provider,
                model,
                project,
                tier,
                speed,
                unit,
                status,
                True,
                False,
                row.key,
                session_key,
                digest,
                nanousd,
                b.input_tokens,
                b.cache_read_tokens,
                b.cache_write_tokens,
                b.cache_write_1h_tokens,
                b.output_tokens,
                b.reasoning_tokens,
                b.input_undivided_tokens,
                b.undivided_tokens,
                b.context_tokens,
                b.web_searches,
                b.flags,
                b.time_quality,
                b.lower_bounds,
                b.derived,
                row.source_key,
                b.owner_key,
                b.reported_cost,
            )
        )
    return copies


def message_copies(tx: Transaction, decoded: Decoded) -> list[MessageCopy]:
    terms = tx.terms
    copies: list[MessageCopy] = []
    for row, digest in decoded.messages:
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
                digest,
                b.at,
                b.size_chars,
                row.source_key,
                b.event_key,
                None if b.tool_names is None else [terms[name] for name in b.tool_names],
            )
        )
    return copies
