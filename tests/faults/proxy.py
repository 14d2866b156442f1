"""A TCP proxy that does harm on demand: waits, reads slowly, cuts after n bytes, swallows, resets, refuses."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator


class FaultProxy:
    """Between a client and `upstream` (host, port). Faults apply to connections that are made or used from then on."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._batch_on: set[asyncio.StreamWriter] = set()  # clients that wait for the answer to a batch
        self._doomed: set[asyncio.StreamWriter] = set()
        self.refuse = False
        self.passing = asyncio.Event()  # cleared: what comes in is swallowed until it is set again
        self.passing.set()
        self.cut_request_after: int | None = None  # bytes of one connection towards the hub
        self.cut_batch_replies = 0  # so many replies to a batch are swallowed, and their connections reset
        self.cut_replies_to = b""  # … and all to requests with this in their first line
        self.delay_batches_seconds = 0.0
        self.latency_seconds = 0.0  # of every piece, either way
        self.bytes_per_second = 0  # read from the client; 0 = as fast as it sends
        self.batches_begun = asyncio.Event()
        self.port = 0
        self.connections = 0
        self.replies_cut = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self.reset_all()
        await self._server.wait_closed()

    def reset_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            _reset(writer)
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            _reset(writer)
            return
        pair = {writer, up_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._requests(reader, up_writer, writer), self._replies(up_reader, writer, up_writer))
        finally:
            self._writers -= pair
            for one in pair:
                one.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        passed = 0
        try:
            while data := await reader.read(16384):
                await self.passing.wait()
                await asyncio.sleep(self.latency_seconds)
                if self.bytes_per_second:
                    await asyncio.sleep(len(data) / self.bytes_per_second)
                if self.cut_replies_to and self.cut_replies_to in data.split(b"\r\n", 1)[0]:
                    self._doomed.add(back)
                if data.startswith(b"POST") and b"/batches" in data[:200]:
                    self._batch_on.add(back)
                    self.batches_begun.set()
                    await asyncio.sleep(self.delay_batches_seconds)
                if self.cut_request_after is not None and passed + len(data) > self.cut_request_after:
                    writer.write(data[: max(0, self.cut_request_after - passed)])
                    await writer.drain()
                    self.cut_request_after = None
                    _reset(writer)
                    _reset(back)
                    return
                passed += len(data)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except (OSError, RuntimeError):
            pass

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(self.latency_seconds)
                if writer in self._doomed or (self.cut_batch_replies and writer in self._batch_on):
                    self.cut_batch_replies = max(0, self.cut_batch_replies - 1)
                    self.replies_cut += 1
                    _reset(writer)
                    _reset(back)
                    return
                self._batch_on.discard(writer)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except (OSError, RuntimeError):
            pass


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: the other side sees a broken connection."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def fault_proxy(host: str, port: int) -> AsyncIterator[FaultProxy]:
    proxy = FaultProxy(host, port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
