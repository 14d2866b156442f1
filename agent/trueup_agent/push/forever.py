"""The daemon's side of the push: `push_forever`, its back-off, and what it knows of the hub."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic, time

import msgspec
import structlog
from msgspec import Struct

from trueup_agent.errors import SLOW_SECONDS, BadHostFile, Forked, PushError, Unauthorized
from trueup_agent.ledger import Ledger
from trueup_agent.memory import give_back_memory
from trueup_agent.push import identity
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.full import FullPush, require_generations
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.identity import ask_position
from trueup_agent.push.push import Push, PushResult, Tell
from trueup_agent.push.uplink import Uplink
from trueup_agent.waiting import first_of
from trueup_shared import logs, wire

log = structlog.get_logger()

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 300.0
LARGE_PUSH_ROWS = 1_000
# What a repair did not mend is compared again after a while: the hub looks for its own mistakes too.
REPAIRS_APART_SECONDS = 600.0


Heed = Callable[[list[wire.Directive]], Awaitable[None]]


async def _nobody(asked: list[wire.Directive]) -> None:
    """A command leaves them to the daemon: they come again."""


class Backoff:
    """Doubles up to five minutes, with jitter so that a fleet does not come back as one; a success starts it over."""

    def __init__(self) -> None:
        self._delay = FIRST_DELAY_SECONDS

    def reset(self) -> None:
        self._delay = FIRST_DELAY_SECONDS

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait now; `at_least` is what the hub asked for."""
        delay, self._delay = self._delay, min(LONGEST_DELAY_SECONDS, self._delay * 2)
        return max(at_least, delay * random.uniform(0.5, 1.0))


class PushState(Struct):
    """What the daemon knows of the hub, for `agent status`."""

    state: str = "starting"  # no_hub | a verdict | the class of the error
    error: str | None = None
    since: float = 0.0
    retry_at: float | None = None


LAST_REPAIR = "last_repair"  # in the ledger's meta


class Repaired(Struct, frozen=True, kw_only=True):
    """The last push that found the hub to differ: rows and deletions sent again, and what came of it."""

    at: float
    rows: int
    verdict: wire.Verdict


class Rekeyed(Struct, frozen=True, kw_only=True):
    """What `agent rekey` did; host and hub are None where the machine is not enrolled."""

    ledger_id: str
    replaces: str
    host_id: str | None
    hub_url: str | None


class Pusher:
    """One writer to the hub per ledger: the loop and a `pg push` that came over the socket take turns."""

    def __init__(self, ledger: Ledger, uplink: Uplink) -> None:
        self.ledger = ledger
        self.uplink = uplink
        self.now = PushState()
        self.heed: Heed = _nobody  # what the hub asks for in receipts
        self._size = BatchSize()
        self._repair_after = 0.0  # monotonic
        self._turn = asyncio.Lock()
        # Held while something leaves outside of our turn: what comes under the old id after the new one was heard of
        # looks like a second machine.
        self.naming = asyncio.Lock()
        self._news = asyncio.Event()  # new rows, or a new enrolment
        self._hurry = asyncio.Event()  # do not wait out the back-off

    def wake(self, hurry: bool = False) -> None:
        """There are new rows. `hurry`: something changed that makes trying again now worth it."""
        self._news.set()
        if hurry:
            self._hurry.set()

    @property
    def settled(self) -> bool:
        """Nothing to push that we know of, and nothing under way."""
        return self.now.state in ("converged", "no_hub") and not self._news.is_set() and not self._turn.locked()

    async def push(self, tell: Tell | None = None, patience: float = 0.0, insist: bool = True) -> PushResult | None:
        """None when no hub is configured. Raises PushError. Without `insist`: no repair shortly after one in vain."""
        repairs = insist or monotonic() >= self._repair_after
        result = await self._at_the_hub(lambda hub: Push(self.ledger, hub, self._size, tell, repairs).run(patience))
        if repairs and result is not None:
            self._repair_after = monotonic() + REPAIRS_APART_SECONDS if result.verdict == "diverged" else 0.0
        return result

    async def begin_full(self) -> list[str] | None:
        """Raises HubTooOld and the like before anything is read for a full push; what is to be said of our identity."""

        async def look(hub: HubClient) -> PushResult:
            position = await ask_position(self.ledger, hub)
            require_generations(position)
            return PushResult(host_id=position.host_id, ledger_id=self.ledger.ledger_id)

        result = await self._at_the_hub(look)
        return result.identity if result is not None else None

    async def push_full(self, tell: Tell | None = None, patience: float = 0.0) -> PushResult | None:
        """The same in a generation of its own; the rest of one where it was interrupted."""
        return await self._at_the_hub(lambda hub: FullPush(self.ledger, hub, self._size, tell).run(patience))

    async def _at_the_hub(self, work: Callable[[HubClient], Awaitable[PushResult]]) -> PushResult | None:
        """`work` when it is our turn, again from the start under another ledger id where it finds a fork."""
        async with self._turn:
            before = self.ledger.replaced
            while True:
                hub = await self.uplink.hub()
                if hub is None:
                    return None
                await self._settle_identity()
                try:
                    result = await work(hub)
                except Unauthorized as error:
                    if self.uplink.was_refused(error):
                        self.wake(hurry=True)
                    raise
                except Forked as forked:
                    async with self.naming:
                        await identity.begin_anew(self.ledger, forked)
                    continue
                if result.repaired_rows:
                    done = Repaired(at=time(), rows=result.repaired_rows, verdict=result.verdict)
                    await self.ledger.set_meta(LAST_REPAIR, msgspec.json.encode(done).decode())
                if result.batches and (receipt := await self.ledger.last_receipt()):
                    await self.heed(receipt.directives)
                result.identity = [identity.in_words(one) for one in self.ledger.replaced if one not in before]
                return result

    async def _settle_identity(self) -> None:
        """Before anything is sent: what this machine pushed with is known here and in host.json."""
        host, ledger = self.uplink.host, self.ledger
        assert host is not None
        if host.ledger_id == ledger.ledger_id:
            return
        if host.ledger_id:
            async with self.naming:
                await identity.settle(ledger, host.ledger_id)
        self.uplink.remember_ledger()

    async def rekey(self, code: str | None) -> Rekeyed:
        """A new ledger id by hand; with an enrolment code as another host. Raises NotEnrolled and the hub's errors."""
        async with self._turn, self.naming:
            host = await self.uplink.enroll_anew(code) if code else None
            taken = await identity.rekey(self.ledger, own_host=code is not None)
            host = self.uplink.keep(host)
        self.wake(hurry=True)
        return Rekeyed(
            ledger_id=taken.replaced_by,
            replaces=taken.ledger_id,
            host_id=host.host_id if host else None,
            hub_url=host.hub_url if host else None,
        )

    async def push_forever(self, stop: asyncio.Event) -> None:
        """Push whenever there are new rows, until `stop`. Hub trouble only delays; anything else ends the daemon."""
        backoff = Backoff()
        while not stop.is_set():
            self._news.clear()
            self._hurry.clear()
            try:
                result = await self.push(insist=False)
            except (PushError, BadHostFile) as error:
                delay = backoff.next(error.retry_after if isinstance(error, PushError) else SLOW_SECONDS)
                self._note(type(error).__name__, str(error), delay)
                await first_of(stop, self._hurry, seconds=delay)
                continue
            backoff.reset()
            if result is not None and result.rows_sent >= LARGE_PUSH_ROWS:
                await give_back_memory(self.ledger)
            self._note("no_hub") if result is None else self._note(result.verdict, result.note)
            await first_of(stop, self._news, self._hurry)

    def _note(self, state: str, error: str | None = None, delay: float | None = None) -> None:
        """One log line per change of state."""
        now = time()
        changed, self.now = state != self.now.state, PushState(state, error, now, now + delay if delay else None)
        if not changed:
            return
        why = {logs.ERROR: error} if error else {}
        if delay is None:
            say = log.warning if state == "diverged" else log.info
            say("push", state=state, **{logs.LEDGER: self.ledger.ledger_id}, **why)
        else:
            log.warning("push", state=state, **why, **{logs.RETRY_IN: round(delay, 1)})
