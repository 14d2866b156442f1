"""The one door to PostgreSQL. Only this module names driver types; driver errors leave it as ours.

uuid columns are 16 bytes in Python (parameters may also be a UUID or its text), jsonb columns are Python values.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from trueup_hub.errors import Busy, DatabaseUnavailable, HubError
from trueup_hub.sqlfiles import load

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Pool = Any
Record = asyncpg.Record

T = TypeVar("T")

# Generic plans and no JIT: ingest repeats a few statements whose best plan does not depend on their values.
_INGEST_SETTINGS = {"jit": "off", "plan_cache_mode": "force_generic_plan", "statement_timeout": "120s"}
# Reads have optional filters, so their best plan depends on which were given.
_SETTINGS = {"jit": "off", "plan_cache_mode": "force_custom_plan", "work_mem": "32MB"}
_READ_SETTINGS = _SETTINGS | {"default_transaction_read_only": "on", "application_name": "trueup reader"}
_BECOME_READER = load("readers")["become_reader"]

_CONNECT_SECONDS = 10  # whoever does not answer by then is no PostgreSQL

_UNREACHABLE = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
)
_WRONG = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, ValueError)

UniqueViolation = asyncpg.UniqueViolationError
OutOfRange = asyncpg.DataError  # a value that its column cannot hold
NotAllowed = asyncpg.InsufficientPrivilegeError
AlreadyThere = (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError)
Conflict = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


# What PostgreSQL says of values that it cannot take. Anything else is its own state: connections, locks, space.
_OF_VALUES = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.CardinalityViolationError,
    asyncpg.PLPGSQLError,
)


def is_fault_of_a_row(error: Exception) -> bool:
    """May a row of a batch be why applying it failed? Not if the database was away, busy or full."""
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        return isinstance(error, _OF_VALUES)
    return not isinstance(error, HubError | OSError | TimeoutError | MemoryError)


def _uuid_bytes(value: bytes | str | UUID) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.bytes if isinstance(value, UUID) else UUID(value).bytes


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec("uuid", schema="pg_catalog", format="binary", encoder=_uuid_bytes, decoder=bytes)
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


async def _prepare_reader(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Reset when it goes back to the pool, a connection keeps its role: RESET ALL leaves that alone."""
    await _prepare(connection)
    await connection.execute(_BECOME_READER.format(right=right_to_become(connection)))


def right_to_become(connection: "Connection | asyncpg.Connection[asyncpg.Record]") -> str:
    """What pg_has_role calls the right to SET ROLE: since PostgreSQL 16 a member need not have it."""
    return "SET" if connection.get_server_version().major >= 16 else "MEMBER"


def _place(url: str) -> str:
    """Where `url` leads, without user and password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _WRONG as error:
        raise DatabaseUnavailable(f"database: {error}") from error
    except asyncpg.QueryCanceledError as error:
        raise Busy("The database took too long.", 5, code="timeout") from error
    except (asyncpg.DiskFullError, asyncpg.OutOfMemoryError) as error:
        raise Busy(f"The database has no room left: {error}.", 120) from error
    except _UNREACHABLE as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # the clean-up failed; that the task is to end stands
            raise asyncio.CancelledError from error
        raise DatabaseUnavailable(f"the database cannot be reached: {str(error) or 'no answer'}") from error


class PoolUse(Struct, frozen=True):
    busy: int
    idle: int
    most: int


class Database:
    """Three pools on one database: `snapshot` for whoever only reads (read-only, as role trueup_reader where that can
    be: readers.py), `ingest` for batches (few connections, generic plans), `connection` for all else."""

    def __init__(self, pool: Pool, reading_pool: Pool, ingest_pool: Pool, url: str) -> None:
        self._pool = pool
        self._reading_pool = reading_pool
        self._ingest_pool = ingest_pool
        self._url = url
        self.caches: dict[str, Any] = {}  # of small reference tables, per database

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        connections: int = 10,
        reading_connections: int = 6,
        ingest_connections: int = 8,
        query_timeout: float = 60,
    ) -> "Database":
        """`url` is a postgresql:// URL. DatabaseUnavailable when nobody answers or it is refused."""
        timeout_ms = {"statement_timeout": str(int(query_timeout * 1000))}
        kinds: list[tuple[int, Any, dict[str, str]]] = [
            (connections, _prepare, _SETTINGS | {"application_name": "trueup"} | timeout_ms),
            (reading_connections, _prepare_reader, _READ_SETTINGS | timeout_ms),
            (ingest_connections, _prepare, _INGEST_SETTINGS | {"application_name": "trueup ingest"}),
        ]
        with _translated():
            # No minimum: asyncpg would log tracebacks while the server is away.
            pools = [
                await asyncpg.create_pool(
                    url, min_size=0, max_size=most, init=init, timeout=_CONNECT_SECONDS, server_settings=settings
                )
                for most, init, settings in kinds
            ]
        general, reading, ingest = pools
        database = cls(general, reading, ingest, url)
        try:
            await database.fetchval("SELECT 1")
        except DatabaseUnavailable as error:
            await database.close()
            raise DatabaseUnavailable(f"{error} (at {_place(url)})") from error
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        for pool in (self._ingest_pool, self._reading_pool, self._pool):
            try:
                await asyncio.wait_for(pool.close(), 10)
            except TimeoutError:
                pool.terminate()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        with _translated():
            async with self._pool.acquire() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.connection() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Reads that must agree with each other: all statements see the same moment. Nothing can be written here."""
        with _translated():
            async with (
                self._reading_pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection

    def pools(self) -> dict[str, PoolUse]:
        """How much of each pool is in use."""
        named = {"general": self._pool, "reading": self._reading_pool, "ingest": self._ingest_pool}
        uses = {}
        for name, pool in named.items():
            idle = pool.get_idle_size()
            uses[name] = PoolUse(busy=pool.get_size() - idle, idle=idle, most=pool.get_max_size())
        return uses

    @contextlib.asynccontextmanager
    async def ingest(self, wait_seconds: float = 30) -> AsyncIterator[Connection]:
        """A connection of the ingest pool; Busy when none comes free in time."""
        with _translated():
            try:
                connection = await self._ingest_pool.acquire(timeout=wait_seconds)
            except TimeoutError:
                raise Busy("too many batches at once") from None
            try:
                yield connection
            finally:
                await self._ingest_pool.release(connection)

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        async with self.connection() as connection:
            return await connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        async with self.connection() as connection:
            return await connection.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:
        async with self.connection() as connection:
            return await connection.execute(sql, *args)

    @contextlib.asynccontextmanager
    async def listening(self, channel: str, heard: Callable[[str], None]) -> AsyncIterator[asyncio.Event]:
        """LISTEN on a connection of its own while the block runs. The event is set when that connection is lost."""
        lost = asyncio.Event()
        with _translated():
            connection = await asyncpg.connect(self._url)
            try:
                connection.add_termination_listener(lambda _connection: lost.set())
                await connection.add_listener(channel, lambda _connection, _pid, _channel, payload: heard(payload))
                yield lost
            finally:
                await connection.close(timeout=5)


async def retried(attempt: Callable[[], Awaitable[T]], times: int = 5) -> T:
    """Run a whole transaction again on deadlock or serialization failure; Busy after `times`."""
    for tried in range(times):
        try:
            return await attempt()
        except Conflict:
            await asyncio.sleep(0.01 * 2**tried)
    raise Busy("the database was too busy to apply the batch")


async def create_database(url: str, name: str, template: str | None = None) -> None:
    """Make database `name` when it is not there; `url` is another database of the same server."""
    with _translated():
        connection = await asyncpg.connect(url)
        try:
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name) is None:
                source = f' TEMPLATE "{template}" STRATEGY file_copy' if template else ""
                await connection.execute(f'CREATE DATABASE "{name}"{source}')
        finally:
            await connection.close()


async def drop_database(url: str, name: str) -> None:
    with _translated():
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()
