"""The dashboard's files, and whether the hub lives and is ready. Nothing here tells anything about usage."""

from html import escape
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from trueup_hub.errors import NotFound, Problem
from trueup_hub.keys import DATABASE, STOPPING

STATIC = Path(str(files("trueup_hub"))) / "static"
_BASE = '<base href="./"'  # as the dashboard's index.html has it
_FOR_EVER = "public, max-age=31536000, immutable"  # built assets have their hash in the name


async def get_page(request: web.Request) -> web.StreamResponse:
    """A built file by its path; any other path without a dot is a view of the dashboard, which routes by itself."""
    path = request.match_info["path"]
    if path.startswith("api/"):
        if others := await _other_methods(request):
            raise web.HTTPMethodNotAllowed(request.method, others)
        raise NotFound(f"There is no route {request.method} {request.path}.")
    file = _static_file(path)
    if file is not None:
        cache = _FOR_EVER if path.startswith("assets/") else "no-cache"
        return web.FileResponse(file, headers={"Cache-Control": cache})
    if "." in path.rpartition("/")[2]:
        raise NotFound(f"There is no file {request.path}.")
    if (STATIC / "index.html").is_file():
        return _dashboard(request.rel_url.raw_path)
    text = (
        "This hub runs, but its dashboard has not been built. In a checkout, `make up` builds it; an installed wheel "
        "has it inside. The API under /api/v1 works without it."
    )
    return plain_page("The dashboard is not built", text, status=200)


def _dashboard(path: str) -> web.Response:
    """Addresses in it are relative to the root of the app, of which a hub below a path prefix knows only how many steps
    up it lies. `path`: as it was sent, where %2F is no step."""
    root = "../" * (path.count("/") - 1) or "./"
    text = (STATIC / "index.html").read_text().replace(_BASE, f'<base href="{root}"')
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers={"Cache-Control": "no-cache"})


async def _other_methods(request: web.Request) -> list[str]:
    """Of routes with that path: this one takes every path, so that aiohttp does not look."""
    found = {method for one in request.app.router.resources() for method in (await one.resolve(request))[1]}
    return sorted(found - {"GET", "HEAD"})


def _static_file(path: str) -> Path | None:
    """None when there is no such file, or it would lie elsewhere."""
    try:
        file = (STATIC / path).resolve()
        return file if file.is_relative_to(STATIC.resolve()) and file.is_file() else None
    except (OSError, ValueError):  # a name that no file can have: with NUL, or too long
        return None


def plain_page(title: str, text: str, *, status: int) -> web.Response:
    """A page without script or style, for when the dashboard cannot speak."""
    body = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)} · trueup</title>"
    body += f"<h1>{escape(title)}</h1><p>{escape(text)}</p></html>"
    return web.Response(text=body, status=status, content_type="text/html", charset="utf-8")


async def get_healthz(request: web.Request) -> web.Response:
    """Whether the process answers."""
    return web.Response(text="ok\n")


async def get_readyz(request: web.Request) -> web.Response:
    """Whether it can serve: the database answers and it is not stopping."""
    await request.app[DATABASE].fetchval("SELECT 1")
    if request.app[STOPPING].is_set():
        raise Problem(503, "stopping", "The hub is stopping.", headers={"Retry-After": "5"})
    return web.Response(text="ready\n")
