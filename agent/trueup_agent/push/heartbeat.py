"""`heartbeat_forever`: tell the hub where this ledger stands, also when there is nothing to push."""

import asyncio
import sys
from collections.abc import Callable
from time import monotonic, time_ns

import structlog

from trueup_agent import drift
from trueup_agent.credential import Host
from trueup_agent.errors import BadHostFile, PushError
from trueup_agent.harnesses.base import LINES
from trueup_agent.ledger import Head, Ledger, LedgerReader, SourceInfo
from trueup_agent.ledger.sources import GONE
from trueup_agent.policy import Policy
from trueup_agent.push.batches import AGENT
from trueup_agent.push.directives import PROGRESS_SECONDS, Directives
from trueup_agent.push.forever import Pusher
from trueup_agent.push.versions import could_agree_anew
from trueup_agent.waiting import first_of
from trueup_shared import digest_sets, logs, wire

log = structlog.get_logger()

# The hub takes 8 MB, and a path may have 4 KB; the next heartbeat tells of the rest.
MOST_SOURCES = 1_500
COUNT_SECONDS = 600.0


class Heartbeats:
    """Sources travel here and not in batches: those that changed since this hub last heard of them."""

    def __init__(
        self,
        ledger: Ledger,
        pusher: Pusher,
        directives: Directives,
        policy: Policy,
        last_error: Callable[[], str | None],
    ) -> None:
        self._ledger = ledger
        self._pusher = pusher
        self._directives = directives
        self._policy = policy
        self._last_error = last_error
        self._told: dict[bytes, wire.SourceStatus] = {}
        self._told_to: tuple[str, str, str] | None = None  # hub, host id, ledger id
        self._acked_seq = 0
        self._counts = (0, 0)  # events of an older data version, events whose source is gone
        self._counted: tuple[float, int] | None = None  # when, and how many sources were gone
        self.drift_suspected: list[str] = []

    async def heartbeat_forever(self, seconds: float, stop: asyncio.Event) -> None:
        """One every `seconds` until `stop`. A hub that cannot be reached is the push's business to report."""
        receipt = await self._ledger.last_receipt()
        self._acked_seq = receipt.acked_seq if receipt else 0
        while not stop.is_set():
            sources = await asyncio.to_thread(self._sources)
            self.drift_suspected = list(drift.suspected(sources))
            self._directives.news.clear()  # or a hub that cannot be told would be tried without pause
            pause = seconds
            try:
                async with self._pusher.naming:
                    await self._beat(sources)
                if self._directives.running:
                    pause = min(seconds, PROGRESS_SECONDS)
            except (PushError, BadHostFile) as error:
                log.debug("heartbeat_failed", **{logs.ERROR: str(error)})
            await first_of(stop, self._directives.news, seconds=pause)

    async def _beat(self, sources: list[SourceInfo]) -> None:
        hub, host = await self._pusher.uplink.hub(), self._pusher.uplink.host
        if hub is None or host is None:
            return
        told_to = (host.hub_url, host.host_id, self._ledger.ledger_id)
        if told_to != self._told_to:
            self._told, self._told_to = {}, told_to
        statuses = ((source.source_key, self._status(source)) for source in sources)
        changed = dict([(key, now) for key, now in statuses if self._told.get(key) != now][:MOST_SOURCES])
        head = await self._ledger.head()
        heartbeat = await self._heartbeat(head, sources, list(changed.values()), host)
        reply = await hub.heartbeat(heartbeat)
        self._told.update(changed)
        await self._directives.reported(heartbeat.directives)
        await self._directives.heed(reply.directives)
        self._acked_seq = reply.position.acked_seq
        if (self._acked_seq, reply.position.digest) != (head.seq, head.digest):
            self._pusher.wake()  # new rows, a hub restored from a backup, rows there that differ from ours
        elif could_agree_anew(self._ledger, reply.position):
            self._pusher.wake()  # the hub was upgraded: what was withheld from it is pending

    def _status(self, source: SourceInfo) -> wire.SourceStatus:
        return wire.SourceStatus(
            key=source.source_key,
            harness=source.harness,
            state=source.state,
            bytes_read=source.position if source.kind == LINES else source.size,  # what is read whole has no position
            lines=source.lines,
            skipped_lines=source.skipped_lines,
            unknown_records=source.unknown_records,
            path=source.path if self._policy.paths == "path" else None,
        )

    async def _heartbeat(
        self, head: Head, sources: list[SourceInfo], changed: list[wire.SourceStatus], host: Host
    ) -> wire.Heartbeat:
        gone = sum(source.state == GONE for source in sources)
        if self._counted is None or self._counted[1] != gone or self._counted[0] + COUNT_SECONDS < monotonic():
            self._counts = await asyncio.to_thread(self._count)
            self._counted = monotonic(), gone
        harnesses = await self._ledger.query("SELECT harness, version, floor FROM harnesses")
        return wire.Heartbeat(
            ledger_id=self._ledger.ledger_id,
            head_seq=head.seq,
            rows=head.rows,
            pending=await asyncio.to_thread(self._pending),
            agent=AGENT,
            parsers={harness: wire.ParserVersion(version, floor) for harness, version, floor in harnesses},
            sent_at=time_ns() // 1000,
            sources=changed,
            skipped_lines=sum(source.skipped_lines for source in sources),
            unknown_records=sum(source.unknown_records for source in sources),
            old_data=self._counts[0],
            source_gone=self._counts[1],
            drift_suspected=self.drift_suspected,
            last_error=self._last_error(),
            label=host.label or None,
            kind=host.kind,
            platform=sys.platform,
            replaces=self._ledger.replaces,
            withheld=digest_sets.withheld(self._ledger.policy.digest_set),
            directives=await self._directives.reports(),
        )

    def _sources(self) -> list[SourceInfo]:
        with LedgerReader(self._ledger.path.parent) as reader:
            return reader.sources()

    def _pending(self) -> int:
        with LedgerReader(self._ledger.path.parent) as reader:
            return reader.pending(self._acked_seq)

    def _count(self) -> tuple[int, int]:
        """A look at every event: seldom, and beside the writer."""
        with LedgerReader(self._ledger.path.parent) as reader:
            return reader.old_data_events(), reader.source_gone_events()
