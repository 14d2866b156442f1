"""A hub inside the test's process, on a port of its own, with the same start and stop as `trueup hub serve`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from machine import Machine
from trueup_hub.app import serving
from trueup_hub.auth import Auth
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.settings import HubSettings


class Hub(Struct, frozen=True):
    """What a test needs of it. `token`: a viewer's."""

    url: str
    auth: Auth
    http: aiohttp.ClientSession
    token: str
    admin_token: str

    async def machine(self, label: str, **about: Any) -> Machine:
        """A host that was just enrolled; `about`: `kind`, `labels`, `platform`."""
        return await Machine.enroll(self.http, self.url, await make_enroll_code(self.auth.db), label, **about)

    async def get(self, path: str, **query: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.get(f"{self.url}/api/v1/{path}", params=query, headers=headers) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def administer(self, method: str, path: str, **body: Any) -> Any:
        """What only an administrator may ask for."""
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        async with self.http.request(method, f"{self.url}/api/v1/{path}", json=body, headers=headers) as reply:
            assert reply.ok, await reply.text()
            return await reply.json()


@contextlib.asynccontextmanager
async def running_hub(database_url: str, data_dir: Path, port: int = 0) -> AsyncIterator[Hub]:
    settings = HubSettings(data_dir=data_dir, database_url=database_url, port=port, database_connections=4)
    async with serving(settings, asyncio.Event()) as hub, aiohttp.ClientSession() as http:
        token = await hub.auth.make_token("viewer", "browser test", None, "test")
        admin = await hub.auth.make_token("admin", "browser test's admin", None, "test")
        yield Hub(url=hub.url, auth=hub.auth, http=http, token=token, admin_token=admin)
