"""Who is calling, and what they may do: tokens and browser sessions of people, credentials of hosts (design section 9).

Of every secret the database has a SHA-256 only; they are 256 random bits, so a fast hash is enough, and looking one up
by its hash tells nothing through time.
"""

import hmac
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import structlog
from msgspec import Struct

from trueup_hub import sqlfiles
from trueup_hub.db import Database
from trueup_hub.errors import Problem
from trueup_hub.hub_key import Credential, Revocations, read_credential
from trueup_shared import logs
from trueup_shared.times import moment

log = structlog.get_logger()
_REVOKED = "The access of this host was revoked; enrol it again."

Role = Literal["viewer", "admin"]
LOGIN_CODE_LIFE = timedelta(minutes=10)


class Caller(Struct, frozen=True, kw_only=True):
    """Whoever sent a request. The host fields are set for hosts only."""

    scope: Literal["viewer", "admin", "host"]
    by: Literal["token", "session", "credential"]
    name: str
    host_no: int = 0
    host_id: UUID = UUID(int=0)


class AccessToken(Struct, frozen=True):
    """An access token as administrators see it: never the token itself."""

    token_no: int
    role: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


def _hash(text: str) -> bytes:
    # A header may hold any bytes; aiohttp gives those that are no UTF-8 as surrogates.
    return sha256(text.encode(errors="surrogatepass")).digest()


def placeholder_label(host_id: UUID) -> str:
    """What a host is called that was re-admitted and has not said its label yet."""
    return f"host-{host_id.hex[:8]}"


class Auth:
    """Checks and hands out access. One per process."""

    def __init__(self, db: Database, key: bytes, revocations: Revocations, session_life: timedelta) -> None:
        self.db = db
        self.key = key
        self.revocations = revocations
        self.session_life = session_life
        self._sql = sqlfiles.load("auth")

    async def caller_of_bearer(self, text: str) -> Caller | None:
        """A host's credential or a person's token. None = nobody we know."""
        credential = read_credential(self.key, text)
        if credential is not None:
            return await self._host(credential)
        row = await self.db.fetchrow(self._sql["token"], _hash(text))
        if row is None:
            return None
        if row["note_use"]:
            await self.db.execute(self._sql["token_used"], row["token_no"])
        return Caller(scope=row["role"], by="token", name=row["name"])

    async def caller_of_session(self, text: str) -> Caller | None:
        row = await self.db.fetchrow(self._sql["session"], _hash(text))
        return None if row is None else Caller(scope=row["role"], by="session", name=row["name"])

    async def _host(self, credential: Credential) -> Caller | None:
        """A host that the database does not know but whose credential the hub key vouches for is re-admitted."""
        host = await self.db.fetchrow(self._sql["host_by_id"], credential.host_id)
        if credential.host_id in self.revocations or (host is not None and host["revoked"]):
            raise Problem(401, "revoked", _REVOKED)
        if host is None:
            admitted = await self.db.fetchval(
                self._sql["readmit"],
                credential.host_id,
                placeholder_label(credential.host_id),
                moment(credential.enrolled_at),
                credential.hash,
                credential.secret_hash,
            )
            if admitted is not None:
                log.warning("re-admitted a host that the database did not know", **{logs.HOST: str(credential.host_id)})
            host = await self.db.fetchrow(self._sql["host_by_id"], credential.host_id)
        if host is None:  # forgotten
            raise Problem(401, "revoked", _REVOKED)
        if not hmac.compare_digest(host["credential_hash"], credential.hash):
            return None
        name, number = host["label"], host["host_no"]
        return Caller(scope="host", by="credential", name=name, host_no=number, host_id=credential.host_id)

    async def make_token(self, role: Role, name: str, life: timedelta | None, actor: str) -> str:
        """The token, shown once. `life` None = until it is revoked."""
        token = f"tut_{role[0]}_{secrets.token_urlsafe(32)}"
        number = await self.db.fetchval(self._sql["add_token"], _hash(token), role, name, life)
        await self.note(actor, "token.create", name, {"token_no": number, "role": role})
        return token

    async def tokens(self) -> list[AccessToken]:
        return [AccessToken(*row.values()) for row in await self.db.fetch(self._sql["all_tokens"])]

    async def revoke_token(self, token_no: int, actor: str) -> bool:
        """False when there is no such token or it is revoked already. Sessions that it opened end with it."""
        name = await self.db.fetchval(self._sql["revoke_token"], token_no)
        if name is not None:
            await self.note(actor, "token.revoke", name, {"token_no": token_no})
        return name is not None

    async def revoke_tokens_named(self, name: str) -> None:
        await self.db.execute(self._sql["revoke_tokens_named"], name)

    async def make_login_code(self, role: Role) -> str:
        """For one login within LOGIN_CODE_LIFE."""
        code = secrets.token_urlsafe(32)
        await self.db.execute(self._sql["forget_old_login_codes"])
        await self.db.execute(self._sql["add_login_code"], _hash(code), role, LOGIN_CODE_LIFE)
        return code

    async def login_by_code(self, code: str) -> str | None:
        """A new session's secret; None when the code is unknown, used or too old."""
        role = await self.db.fetchval(self._sql["use_login_code"], _hash(code))
        return None if role is None else await self._open_session(role, None)

    async def login_by_token(self, token: str) -> str | None:
        """A new session's secret; None when the token is not good. The session ends when the token is revoked."""
        row = await self.db.fetchrow(self._sql["token"], _hash(token))
        return None if row is None else await self._open_session(row["role"], row["token_no"])

    async def _open_session(self, role: str, token_no: int | None) -> str:
        session = secrets.token_urlsafe(32)
        await self.db.execute(self._sql["forget_old_sessions"])
        await self.db.execute(self._sql["add_session"], _hash(session), role, token_no, self.session_life)
        return session

    async def logout(self, session: str) -> None:
        await self.db.execute(self._sql["end_session"], _hash(session))

    async def note(self, actor: str, action: str, subject: str, detail: dict[str, Any]) -> None:
        """A line of the audit table."""
        await self.db.execute(self._sql["note"], actor, action, subject, detail)
