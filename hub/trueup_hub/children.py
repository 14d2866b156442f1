"""Child processes that live and die with us."""

import asyncio
import contextlib
import ctypes
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

from trueup_hub.errors import HubError

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_STOP_SECONDS = 10.0


def _end_with_parent() -> None:
    """Linux: the child gets SIGTERM when we die, however we die. Runs between fork and exec."""
    if _libc is not None:
        _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG; tied to the thread that forks: the main one


@contextlib.asynccontextmanager
async def child(command: Sequence[str], environ: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `command`; leaving the block stops it: SIGTERM, and SIGKILL if it takes longer than _STOP_SECONDS.

    Its stdout goes nowhere, ours belongs to our own output; its stderr is ours. It has a session of its own, so that
    Ctrl-C in the terminal reaches it through us alone.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def run_to_end(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Run a command that ends by itself. HubError when it fails; it has said why on stderr."""
    async with child(command, environ) as process:
        if await process.wait() != 0:
            raise HubError(f"{' '.join(command[1:4])} failed")
