"""A hub of a release that lacks metrics and routes, in a process of its own: neither its /capabilities nor its routes
have them. As a program: what to leave out, then what `trueup` is told."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp

from agent_process import until
from processes import environment


@contextlib.asynccontextmanager
async def lesser_hub(
    database_url: str, data_dir: Path, port: int, *, metrics: Sequence[str] = (), routes: Sequence[str] = ()
) -> AsyncIterator[None]:
    """`routes`: paths below /api/v1/."""
    path = os.pathsep.join(filter(None, sys.path))  # of the checkout that is tested, installed or not
    env = environment(data_dir, data_dir, TRUEUP_DATABASE_URL=database_url, PYTHONPATH=path)
    lacks = json.dumps({"metrics": metrics, "routes": routes})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, lacks, "hub", "serve", "--port", str(port)),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def answers() -> bool:
        assert process.returncode is None, "the lesser hub ended by itself"
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as reply:
                return reply.status == 200
        return False

    try:
        await until(answers, "the lesser hub answers", 60)
        yield
    finally:
        process.terminate()
        await process.wait()


def main() -> None:
    lacks = json.loads(sys.argv[1])
    from trueup_shared import metrics  # before anything else has read its list

    metrics.METRICS = tuple(metric for metric in metrics.METRICS if metric.name not in lacks["metrics"])
    import trueup_shared

    trueup_shared.__version__ = "0.0.9"
    from trueup_hub import routes

    gone = {f"/api/v1/{path}" for path in lacks["routes"]}
    assert gone <= {route.path for route in routes.ROUTES}
    routes.ROUTES = tuple(route for route in routes.ROUTES if route.path not in gone)
    from trueup_shared.cli import trueup

    trueup(sys.argv[2:])


if __name__ == "__main__":
    main()
