"""A year of fifty machines, two hundred models and ten thousand sessions, each of one request: as much as a page of a
fleet has to draw, made within seconds."""

import asyncio
import random

from hub_process import Hub
from ledgers import Ledger, add_host
from trueup_shared import wire
from trueup_shared.harnesses import DATA_VERSIONS
from usage_quarter import HARNESSES, Session, moment, rows_of

HOSTS, MODELS, SESSIONS, DAYS = 50, 200, 10_000, 365
_PROJECTS = 40
_SEED = 365


async def fill(hub: Hub) -> None:
    rng, names = random.Random(_SEED), tuple(HARNESSES)
    db = hub.auth.db
    ledgers = [Ledger(db, await add_host(db, f"host-{n:02}", n, "laptop")) for n in range(HOSTS)]
    for n in range(SESSIONS):
        model = n if n < MODELS else int(MODELS * rng.random() ** 3)  # some far more often than others
        harness = names[model % len(names)]
        session = Session(
            harness=harness,
            name=f"session-{n}",
            at=moment(1 + n * (DAYS - 1) // SESSIONS, rng.randrange(24), rng.randrange(60)),
            turns=1,
            project=f"project-{rng.randrange(_PROJECTS)}",
            models=(f"{HARNESSES[harness].models[0]}-{model:03}",),
        )
        for key, body in rows_of(rng, session):
            ledgers[n % HOSTS].put(key, body)
    for ledger in ledgers:
        ledger.versions = {name: wire.ParserVersion(DATA_VERSIONS[name], DATA_VERSIONS[name]) for name in names}
        assert (await ledger.push()).verdict == "converged"
        await asyncio.sleep(0)
