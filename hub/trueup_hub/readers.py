"""The role that reads: connections that only read become `trueup_reader`, which may SELECT what a viewer may see.

It sees no hashes of tokens, credentials, codes or sessions. Where the database's user may neither make the role nor
become it, reads are read-only all the same, with the rights of that user; an administrator can run what `todo` says.
"""

import structlog

from trueup_hub.db import AlreadyThere, Connection, Database, NotAllowed, right_to_become
from trueup_hub.sqlfiles import load

log = structlog.get_logger()

_SQL = load("readers")
ROLE = "trueup_reader"
SECRET_TABLES = ("enroll_codes", "login_codes", "tokens", "web_sessions")


async def grant_reading(connection: Connection) -> list[str]:
    """Make the role, give it what it lacks here and become a member; the statements that were not allowed to us.

    At each start: a restored database has none of the grants, another cluster not even the role.
    """
    if not await connection.fetchval(_SQL["there_is_a_role"]):
        try:
            await _run(connection, _SQL["make_role"])
        except AlreadyThere:  # another hub of this cluster was faster
            pass
        except NotAllowed:
            user = await connection.fetchval(_SQL["user_name"])
            return [_SQL["make_role"], f"GRANT {ROLE} TO {user}"]
    refused = []
    for (grant,) in await connection.fetch(_SQL["grants"], list(SECRET_TABLES)):
        try:
            await _run(connection, grant)
        except NotAllowed:
            refused.append(grant)
    if not await connection.fetchval(_SQL["may_become"].format(right=right_to_become(connection))):
        try:
            await _run(connection, _SQL["take_role"])
        except NotAllowed:
            refused.append(f"GRANT {ROLE} TO {await connection.fetchval(_SQL['user_name'])}")
    return refused


async def _run(connection: Connection, statement: str) -> None:
    async with connection.transaction():
        await connection.execute(statement)


async def tell_administrator(db: Database) -> None:
    """Once, at a start: what would let reads run as a role of their own."""
    async with db.connection() as connection:
        refused = await grant_reading(connection)
    if refused:
        log.warning(
            "reads run with all rights of the hub's database user; a superuser can change that",
            run="; ".join(refused),
        )
