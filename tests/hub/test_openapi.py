"""What routes declare is what handlers do, and the document says nothing else."""

import ast
import inspect
import re
import runpy
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.inspect import type_info

from hub_client import API, HubClient
from syntax import tree_of
from trueup_hub.handlers import bodies
from trueup_hub.openapi import problems
from trueup_hub.openapi.document import document, is_described
from trueup_hub.openapi.schemas import _records
from trueup_hub.routes import ROUTES

ROOT = Path(__file__).resolve().parents[2]
HUB = ROOT / "hub" / "trueup_hub"
API_MD = (ROOT / "docs" / "api.md").read_text()
DESCRIBED = [route for route in ROUTES if is_described(route)]


def name_of(route: Any) -> str:
    return str(route.handler.__name__)


@pytest.mark.parametrize("route", DESCRIBED, ids=name_of)
def test_a_route_of_the_api_says_what_it_is_for_and_what_it_answers(route: Any) -> None:
    assert route.handler.__doc__
    assert route.answers is not None or route.statuses == (204,)
    assert (
        route.method == "GET" or name_of(route) == "post_logout" or route.sent is not None or route.method == "DELETE"
    )


def reads(function: Any, seen: set[str]) -> list[ast.AST]:
    """All that a handler does itself or has done by functions of its module."""
    if function.__name__ in seen:
        return []
    seen.add(function.__name__)
    function = inspect.unwrap(function)
    nodes = list(ast.walk(tree_of(inspect.cleandoc("\n" + inspect.getsource(function)))))
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    module = sys.modules[function.__module__]
    for name, value in vars(module).items():
        if name in called and inspect.isfunction(value) and value.__module__ == module.__name__:
            nodes += reads(value, seen)
    return nodes


@pytest.mark.parametrize("route", DESCRIBED, ids=name_of)
def test_a_handler_reads_what_its_route_takes_and_nothing_else(route: Any) -> None:
    nodes = reads(route.handler, set())
    names = {
        node.slice.value
        for node in nodes
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    }
    declared = {parameter.name for parameter in (*route.in_path, *(route.takes or ()))}
    common = any(isinstance(node, ast.Name) and node.id == "_common" for node in nodes)
    assert names <= declared
    assert common == ("timezone" in declared)


@pytest.mark.parametrize("route", DESCRIBED, ids=name_of)
def test_a_handler_reads_the_body_that_its_route_is_sent(route: Any) -> None:
    read = {
        node.args[1].id
        for node in reads(route.handler, set())
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"{bodies.__name__.rpartition('.')[2]}.read"
    }
    kinds = {kind.__name__ for kind in get_args(route.sent) or (route.sent,) if kind not in (None, type(None))}
    assert read == kinds


def test_only_declared_parameters_are_read_from_a_query() -> None:
    where = {
        path.relative_to(HUB).as_posix()
        for path in HUB.rglob("*.py")
        if "node_modules" not in path.parts and re.search(r"request\.(rel_url\.)?query\b", path.read_text())
    }
    # auth: the login page, for browsers; responses: whether `format` is there, which Accept may say instead
    assert where == {"middleware.py", "handlers/auth.py", "responses.py"}


def test_every_type_of_the_api_has_a_name_of_its_own() -> None:
    kinds = [kind for route in DESCRIBED for kind in (route.answers, route.sent) if kind and not isinstance(kind, str)]
    records = {record for kind in kinds for record in _records(type_info(kind))}
    names = [record.__name__ for record in records]
    assert len(names) == len(set(names)) > 50


def codes_in_the_code() -> set[str]:
    """First or second argument of whatever makes an error that a client sees."""
    found = set()
    for path in HUB.rglob("*.py"):
        if "dashboard" in path.parts or "openapi" in path.parts:
            continue
        for node in ast.walk(tree_of(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                at = {"BadRequest": 0, "Problem": 1, "problem": 1, "told": 1}.get(name)
                code = None if at is None or len(node.args) <= at else node.args[at]
                found |= {code.value} if isinstance(code, ast.Constant) and isinstance(code.value, str) else set()
    return found


def test_every_code_of_an_error_is_known_to_the_document_and_to_the_page() -> None:
    assert codes_in_the_code() <= problems.CODES.keys()
    assert not [code for code in problems.CODES if f"`{code}`" not in API_MD]
    assert not [code for route in ROUTES for code in route.refuses if code not in problems.CODES]


def test_the_document_tells_of_every_parameter_and_of_no_other() -> None:
    told = document(ROUTES)
    for route in DESCRIBED:
        operation = told["paths"][route.path][route.method.lower()]
        names = [one["name"] for one in operation["parameters"]]
        assert names == [one.name for one in (*route.in_path, *(route.takes or ()))]
        assert set(operation["responses"]) >= {str(status) for status in route.statuses}


def test_fields_are_described_by_the_comments_beside_them() -> None:
    schemas = document(ROUTES)["components"]["schemas"]
    assert schemas["LedgerReport"]["properties"]["digest"]["description"] == "hex"
    assert schemas["LedgerReport"]["properties"]["first_contact_at"]["format"] == "date-time"
    assert schemas["Leader"]["required"] == ["key", "label", "total_tokens", "coverage"]
    assert "required" in schemas["MostActive"]  # always there in answers, whatever their default


def test_the_types_of_the_dashboard_are_what_make_types_writes() -> None:
    make_types = runpy.run_path(str(ROOT / "deploy" / "make_types.py"))
    assert make_types["types"]() == make_types["TARGET"].read_text(), "run: make types"


async def test_the_document_and_the_page_are_for_everybody_and_are_kept(hub: HubClient) -> None:
    for path, kind in (("openapi.json", "application/json"), ("docs", "text/html"), ("docs.css", "text/css")):
        async with hub.http.get(f"/api/{path}") as reply:
            assert (reply.status, reply.content_type) == (200, kind)
            assert await reply.text()
            tag = reply.headers["ETag"]
        async with hub.http.get(f"/api/{path}", headers={"If-None-Match": tag}) as reply:
            assert (reply.status, await reply.read()) == (304, b"")


async def test_who_has_no_rights_learns_nothing_from_any_route(hub: HubClient) -> None:
    """Whatever else is wrong with a request."""
    for route in ROUTES:
        if route.need != "nobody":
            path = re.sub(r"\{\w+\}", "x", route.path)
            async with hub.http.request(route.method, f"{path}?nonsense=1") as reply:
                assert reply.status == 401, path
    assert len(API) > 0
