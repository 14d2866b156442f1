"""`trueup pg push --full` from its beginning (design section 6): everything that exists is read again by the parsers of
today, the ledger checks itself, and then all of it is sent, confirmed and compared (push/full.py).
"""

from trueup_agent.collect import PassMemory, scan
from trueup_agent.ledger import Ledger
from trueup_agent.memory import give_back_memory
from trueup_agent.push.forever import Pusher
from trueup_agent.push.sender import LogsRead, Progress, PushResult, Tell
from trueup_agent.settings import Loaded


async def resync(
    loaded: Loaded, ledger: Ledger, pusher: Pusher, tell: Tell, patience: float, memory: PassMemory | None = None
) -> PushResult | None:
    """None when no hub is configured. Raises PushError, at once where the hub cannot do it, and what a scan raises.

    Interrupted anywhere it is begun again: logs are read once more, and the sending goes on where the hub is.
    """
    identity = await pusher.begin_full()
    if identity is None:
        return None

    def tell_read(done: int, of: int) -> None:
        tell(Progress("Reading all logs again", done, of, "bytes"))

    read = await scan(ledger, loaded, progress=tell_read, memory=memory, reread=True)
    tell(Progress("Checking the ledger", 0, 0, ""))
    checked = await ledger.recheck()
    await give_back_memory(ledger)
    result = await pusher.push_full(tell, patience)
    if result is not None:
        result.identity = identity + result.identity
        result.logs = LogsRead(
            sources=read.sources_read,
            inserted=read.inserted,
            restated=read.restated,
            removed=read.removed,
            unreadable=len(read.unreadable),
            rechecked=checked.restated,
            sum_was_right=checked.sum_was_right,
        )
    return result
