"""`agent.sock`: commands that write the ledger run inside the daemon when there is one (design section 4).

One request per connection; the answer is a stream of JSON lines `{what, body}`: any number of what = `progress`, then
one `result` or `error` (body: kind and message). Only the owner may connect (0600), so there is no further login.
"""

import asyncio
import hashlib
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import aiohttp
import msgspec
import structlog
from aiohttp import web

from trueup_agent import errors
from trueup_agent.errors import DaemonLost, NoDaemon
from trueup_shared import logs

T = TypeVar("T")
Tell = Callable[[Any], None]
# (request as JSON, where to tell progress) -> result
Command = Callable[[bytes, Tell], Awaitable[Any]]

SOCKET = "agent.sock"
_LONGEST_PATH = 100  # the kernel allows 107 bytes on Linux, 103 on macOS

log = structlog.get_logger()


class Failure(msgspec.Struct, frozen=True):
    kind: str
    message: str


class Frame(msgspec.Struct, frozen=True):
    """One line of an answer. The last one is a `result` or an `error`."""

    what: Literal["progress", "result", "error"]
    body: msgspec.Raw


def _frame(what: Literal["progress", "result", "error"], body: Any) -> Frame:
    return Frame(what, msgspec.Raw(msgspec.json.encode(body)))


def socket_path(data_dir: Path) -> Path:
    """Where the daemon of this data directory listens. A path that is too long for a socket moves to a short one."""
    path = data_dir.absolute() / SOCKET
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        return path
    name = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
    return Path(f"/tmp/trueup-{os.getuid()}") / f"{name}.sock"


def _private(folder: Path) -> bool:
    """Ours, and closed to others: anyone could have made a directory of that name in /tmp."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


@asynccontextmanager
async def serve(data_dir: Path, commands: Mapping[str, Command]) -> AsyncIterator[None]:
    """Listen while the context lasts. The caller holds the ledger's lock, so a socket that is there is a dead one's."""
    if sys.platform == "win32":
        yield
        return
    path = socket_path(data_dir)
    if path.name != SOCKET:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not _private(path.parent):
            log.warning("control_unavailable", **{logs.ERROR: f"{path.parent} is not a private directory of ours"})
            yield
            return
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(umask)
    app = web.Application()
    for name, command in commands.items():
        app.router.add_post(f"/{name}", _handler(command))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)


def _handler(command: Command) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def post_command(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        frames: asyncio.Queue[Frame] = asyncio.Queue()
        work = asyncio.create_task(_carry_out(command, body, frames), name="command")
        try:
            while True:
                frame = await frames.get()
                await response.write(msgspec.json.encode(frame) + b"\n")
                if frame.what != "progress":
                    return response
        except ConnectionResetError:
            return response  # the terminal was closed: what it asked for stops with it
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    return post_command


async def _carry_out(command: Command, body: bytes, frames: asyncio.Queue[Frame]) -> None:
    def tell(progress: Any) -> None:
        frames.put_nowait(_frame("progress", progress))

    try:
        result = await command(body, tell)
    except (errors.AgentError, msgspec.ValidationError) as error:
        frames.put_nowait(_frame("error", Failure(type(error).__name__, str(error))))
    except Exception:
        log.exception("command_failed")
        frames.put_nowait(_frame("error", Failure("AgentError", "the daemon failed at this; its log says why")))
    else:
        frames.put_nowait(_frame("result", result))


async def ask(
    data_dir: Path, command: str, request: Any, kind: type[T], tell: Callable[[msgspec.Raw], None] | None = None
) -> T:
    """Have the daemon carry out a command. Raises NoDaemon, DaemonLost, or the error that the command ended in."""
    if sys.platform == "win32":
        raise NoDaemon("commands cannot be handed to a running agent on Windows")
    path = socket_path(data_dir)
    connector = aiohttp.UnixConnector(path=str(path))
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=1 << 20) as session:
        try:
            async with session.post(f"http://agent/{command}", data=msgspec.json.encode(request)) as answer:
                if answer.status != 200:
                    raise DaemonLost(f"the running agent does not know '{command}': restart it, it is another release")
                async for line in answer.content:
                    frame = msgspec.json.decode(line, type=Frame)
                    if frame.what == "error":
                        raise _error(msgspec.json.decode(frame.body, type=Failure))
                    if frame.what == "result":
                        return msgspec.json.decode(frame.body, type=kind)
                    if tell:
                        tell(frame.body)
        except (aiohttp.ClientConnectorError, TimeoutError) as error:
            raise NoDaemon(f"no agent listens at {path}") from error
        except aiohttp.ClientError as error:
            raise DaemonLost("the agent stopped in the middle of this command: run it again") from error
    raise DaemonLost("the agent stopped in the middle of this command: run it again")


def _error(failure: Failure) -> errors.AgentError:
    """The daemon's error as the command would have met it here: the same line, the same exit status."""
    kind = getattr(errors, failure.kind, errors.AgentError)
    if not (isinstance(kind, type) and issubclass(kind, errors.AgentError)):
        kind = errors.AgentError
    error = kind.__new__(kind)
    Exception.__init__(error, failure.message)
    return error
