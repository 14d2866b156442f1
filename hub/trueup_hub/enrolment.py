"""How a machine becomes a host: an administrator makes a code, the agent a secret, and gets a credential for both.

The secret says who the machine is, the code only that it may come in. So a repeat by the same secret gets the same
answer for as long as the host exists, and costs no use of the code.
"""

import secrets
import time
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from msgspec import Struct

from trueup_hub import sqlfiles
from trueup_hub.db import Connection, Database
from trueup_hub.errors import BadRequest, Problem
from trueup_hub.hub_key import SECRET_BYTES, Revocations, make_credential
from trueup_hub.states import EXPECTED_SILENCE
from trueup_shared.times import micros, moment
from trueup_shared.wire import EnrollReply, EnrollRequest

_MAX_LABEL = 120
MOST_USES = 1_000_000
LONGEST_LIFE = timedelta(days=36_500)  # of a code that ends at all


class EnrollCode(Struct, frozen=True):
    """What a machine enrols with, once for each of its uses. It is told this once: the hub keeps only its hash."""

    code: str
    uses: int | None  # machines; null = any number
    expires_at: datetime | None  # null = never


async def new_enroll_code(
    db: Database,
    actor: str,
    *,
    uses: int | None = 1,
    life: timedelta | None = timedelta(days=1),
    labels: dict[str, str] | None = None,
) -> EnrollCode:
    """A code for `uses` machines (None = any number) within `life` (None = for ever); each gets `labels`. BadRequest
    for what no code can have."""
    if uses is not None and not 1 <= uses <= MOST_USES:
        raise BadRequest("bad_parameter", f"'uses' must be from 1 to {MOST_USES}, or none for any number of machines.")
    if life is not None and not timedelta(0) <= life <= LONGEST_LIFE:
        raise BadRequest("bad_parameter", f"A code must expire within {LONGEST_LIFE.days} days, or never.")
    labels = labels or {}
    check_label_names(labels)
    code = f"tue_{secrets.token_urlsafe(24)}"
    sql = sqlfiles.load("auth")
    async with db.transaction() as connection:
        [row] = await connection.fetch(sql["add_enroll_code"], sha256(code.encode()).digest(), labels, uses, life)
        made = EnrollCode(code, uses, row["expires_at"])
        told = {"uses": uses, "expires_at": made.expires_at and made.expires_at.isoformat(), "labels": labels}
        await connection.execute(sql["note"], actor, "enroll_code.make", str(row["enroll_code_no"]), told)
    return made


async def make_enroll_code(db: Database, **options: Any) -> str:
    """The code alone, for a machine that enrols at once."""
    return (await new_enroll_code(db, "trueup up", **options)).code


async def enroll(db: Database, key: bytes, revocations: Revocations, request: EnrollRequest) -> EnrollReply:
    """Exchange code + secret for a credential. Problem 403 `unknown_code` `code_expired` `revoked`, 409 `code_used`."""
    label = clean_label(request.label)
    if len(request.secret) != SECRET_BYTES:
        raise BadRequest("bad_secret", f"'secret' must be {SECRET_BYTES} bytes.")
    secret_hash = sha256(request.secret).digest()
    sql = sqlfiles.load("auth")
    async with db.transaction() as connection:
        await connection.execute(sql["lock_secret"], int.from_bytes(secret_hash[:8], "big", signed=True))
        host = await connection.fetchrow(sql["host_by_secret"], secret_hash)
        if host is None:
            code = await _admit(connection, request.code)
            return await _add_host(connection, key, request, label, secret_hash, code)
    host_id = UUID(bytes=host["host_id"])
    if host["revoked"] or host_id in revocations:
        raise Problem(403, "revoked", "The access of this host was revoked; enrol it with a new secret.")
    credential = make_credential(key, host_id, micros(host["enrolled_at"]), request.secret)
    return EnrollReply(host_id=str(host_id), credential=credential, label=host["label"])


async def _admit(connection: Connection, text: str) -> Any:
    """One use of a code, whose row stays locked until the host is there."""
    sql = sqlfiles.load("auth")
    code = await connection.fetchrow(sql["enroll_code"], sha256(text.encode()).digest())
    if code is None or code["revoked"]:
        raise Problem(403, "unknown_code", "There is no such enrolment code at this hub.")
    if code["expired"]:
        raise Problem(403, "code_expired", "The enrolment code has expired; make a new one: trueup hub enroll-code.")
    if code["uses_left"] == 0:
        raise Problem(409, "code_used", "The enrolment code was used by another machine; make a new one.")
    await connection.execute(sql["use_enroll_code"], code["enroll_code_no"])
    return code


async def _add_host(
    connection: Connection, key: bytes, request: EnrollRequest, label: str, secret_hash: bytes, code: Any
) -> EnrollReply:
    """The administrator's labels win over the machine's own."""
    host_id, enrolled_at = uuid4(), time.time_ns() // 1000
    credential = make_credential(key, host_id, enrolled_at, request.secret)
    sql = sqlfiles.load("auth")
    await connection.execute(
        sql["add_host"],
        host_id,
        label,
        {**request.labels, **code["labels"]},
        request.kind,
        request.platform[:_MAX_LABEL],
        moment(enrolled_at),
        sha256(credential.encode()).digest(),
        secret_hash,
        code["enroll_code_no"],
        int(EXPECTED_SILENCE[request.kind].total_seconds()),
    )
    await connection.execute(sql["note"], f"host {label}", "host.enroll", str(host_id), {"platform": request.platform})
    return EnrollReply(host_id=str(host_id), credential=credential, label=label)


def clean_label(label: str, what: str = "label") -> str:
    """One printable line. BadRequest, with the name of the field, when nothing is left or it is too long."""
    cleaned = " ".join(label.split())
    if not cleaned or len(cleaned) > _MAX_LABEL or not cleaned.isprintable():
        raise BadRequest("bad_label", f"'{what}' must be one printable line of 1 to {_MAX_LABEL} characters.")
    return cleaned


def check_label_names(labels: dict[str, str]) -> None:
    """BadRequest for what no filter could name: `label=NAME:VALUE` ends the name at its first colon."""
    for name in labels:
        if ":" in name or name != clean_label(name, "labels"):
            raise BadRequest("bad_label", f"'labels' cannot have the name '{name}': one printable line without ':'.")
