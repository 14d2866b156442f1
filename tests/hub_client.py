"""A hub in the test's own loop, as its clients see it: tokens, an enrolled host, the problems it answers with."""

import asyncio
import os
from typing import Any, NamedTuple

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from trueup_hub.app import build_app
from trueup_hub.auth import Auth
from trueup_hub.db import Database
from trueup_hub.enrolment import enroll, make_enroll_code
from trueup_hub.keys import AUTH, DATABASE
from trueup_hub.settings import HubSettings
from trueup_shared.wire import AgentInfo, EnrollReply, EnrollRequest

KEY = bytes(range(32))
AGENT = AgentInfo(version="0.0.0")
API = "/api/v1"


class HubClient(NamedTuple):
    """`http` speaks to the hub; it sends no credentials by itself."""

    http: TestClient[Any, Any]
    auth: Auth
    db: Database

    async def token(self, role: Any = "viewer") -> dict[str, str]:
        return bearer(await self.auth.make_token(role, f"test {role}", None, "test"))

    async def code(self, **options: Any) -> str:
        return await make_enroll_code(self.db, **options)

    async def host(self, label: str = "ana") -> EnrollReply:
        """A newly enrolled host."""
        return await enroll(self.db, KEY, self.auth.revocations, enrolment(await self.code(), label=label))


def enrolment(code: str, *, secret: bytes | None = None, label: str = "ana") -> EnrollRequest:
    return EnrollRequest(code=code, secret=secret or os.urandom(32), label=label, agent=AGENT)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def start_hub(aiohttp_client: Any, db: Database, settings: HubSettings) -> HubClient:
    app = build_app(settings, db, KEY, asyncio.Event())
    return HubClient(await aiohttp_client(app), app[AUTH], app[DATABASE])


async def problem(response: ClientResponse, status: int, code: str) -> dict[str, Any]:
    """Assert that it is the problem document of `code`, whole; give it back."""
    assert response.status == status, await response.text()
    assert response.content_type == "application/problem+json"
    document: dict[str, Any] = await response.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"] == f"urn:trueup:problem:{code}"
    assert document["title"]
    assert document["detail"]
    return document
