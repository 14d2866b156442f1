"""Hubs of other releases, as their agents see them: today's hub, whose documents have the fields of that release."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct

WIRE = Path(__file__).parent / "golden" / "wire"
Document = dict[str, Any]
Change = Callable[[str, Document], Document | None]  # kind, document as today's hub says it; None: no such route

_PASSED = ("Authorization", "Accept", "Content-Type")


def recorded(name: str) -> dict[str, Any]:
    """Documents of a release by what they are: hex of msgpack."""
    found: dict[str, Any] = json.loads((WIRE / f"{name}.json").read_text())
    return found


def unpacked(text: str) -> Document:
    document: Document = msgspec.msgpack.decode(bytes.fromhex(text))
    return document


class OtherHub(Struct):
    url: str
    heard: list[tuple[str, Document]]  # kind and body of every request that had one

    def batches(self) -> list[Document]:
        return [body for kind, body in self.heard if kind == "receipt"]


@contextlib.asynccontextmanager
async def hub_before(hub_url: str) -> AsyncIterator[OtherHub]:
    """Release 0.1.0: it knows what was recorded from it and nothing else."""
    said = {kind: unpacked(text) for kind, text in recorded("release-0.1.0").items()}

    def change(kind: str, document: Document) -> Document | None:
        if kind not in said:
            return None
        return {name: _as_before(name, document[name], said) for name in said[kind]}

    async with _other_hub(hub_url, change) as other:
        yield other


def _as_before(name: str, value: Any, said: dict[str, Document]) -> Any:
    """A position also stands inside the reply to a heartbeat."""
    return {inner: value[inner] for inner in said["position"]} if name == "position" else value


@contextlib.asynccontextmanager
async def hub_to_come(hub_url: str) -> AsyncIterator[OtherHub]:
    """A made-up later release: more fields, more features, wider ranges."""
    added = recorded("later")["added to replies"]

    def change(kind: str, document: Document) -> Document:
        changed = document | added.get(kind, {})
        if "position" in changed:
            changed["position"] = changed["position"] | added["position"]
        return changed

    async with _other_hub(hub_url, change) as other:
        yield other


@contextlib.asynccontextmanager
async def _other_hub(hub_url: str, change: Change) -> AsyncIterator[OtherHub]:
    other = OtherHub("", [])
    async with aiohttp.ClientSession() as upstream:

        async def handle(request: web.Request) -> web.Response:
            kind, body = _kind(request.method, request.path), await request.read()
            if body:
                other.heard.append((kind, msgspec.msgpack.decode(body)))
            headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
            async with upstream.request(request.method, hub_url + request.path_qs, data=body, headers=headers) as reply:
                content, status, content_type = await reply.read(), reply.status, reply.content_type
            if status == 200 and kind != "enroll":
                changed = change(kind, msgspec.msgpack.decode(content))
                if changed is None:
                    problem = {"title": "Not Found", "status": 404, "code": "not_found", "detail": "No such route."}
                    return web.json_response(problem, status=404, content_type="application/problem+json")
                content = msgspec.msgpack.encode(changed)
            return web.Response(body=content, status=status, content_type=content_type)

        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            other.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield other
        finally:
            await runner.cleanup()


def _kind(method: str, path: str) -> str:
    """Of the document that answers."""
    route = path.removeprefix("/api/v1/").split("/")
    if route[0] in ("enroll", "heartbeat"):
        return {"enroll": "enroll", "heartbeat": "heartbeat reply"}[route[0]]
    if len(route) == 2:
        return "position"
    if route[-1] == "commit":
        return "committed"
    return {"batches": "receipt", "generations": "generation"}.get(route[2], route[2])
