"""A hub with made-up data to look at, until Ctrl-C: `.venv/bin/python tests/browser/show.py fleet --port 8788`.

`fleet`: twenty machines in every state. `corpus`: real transcripts on two machines. `big`: a year of fifty machines.
"""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import usage_corpora
import usage_fleet
import usage_year
from hub_process import Hub, running_hub
from trueup_hub.db import Database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.migrate import migrate


async def show(what: str, port: int, folder: Path) -> None:
    server = EmbeddedPg(folder / "pg", durable=False)
    await server.start()
    stopping = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stopping.set)
    try:
        db = await Database.open(server.url())
        await migrate(db)
        await db.close()
        async with running_hub(server.url(), folder / "hub", port) as hub:
            await _fill(what, hub, folder)
            for role, token in (("admin", hub.admin_token), ("viewer", hub.token)):
                print(f"{role}, once within ten minutes: {hub.url}/login?code={await hub.auth.make_login_code(role)}")
                print(f"{role}, by token: {token}", flush=True)
            await stopping.wait()
    finally:
        await server.stop()


async def _fill(what: str, hub: Hub, folder: Path) -> None:
    if what == "corpus":
        await usage_corpora.fill(hub, folder)
    else:
        await (usage_fleet if what == "fleet" else usage_year).fill(hub)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("fleet", "corpus", "big"), nargs="?", default="fleet")
    parser.add_argument("--port", type=int, default=8788)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    folder = Path(tempfile.mkdtemp(prefix="trueup-show-"))
    folder.chmod(0o711)  # the server's user passes it, where this one is root
    try:
        asyncio.run(show(options.what, options.port, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
