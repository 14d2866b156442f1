"""The shape that everything grows in: who may import whom, how large a module may be, where SQL and HTTP live."""

import ast
import functools
import re
from pathlib import Path

import pytest

from syntax import tree_of

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "trueup_agent": ROOT / "agent" / "trueup_agent",
    "trueup_hub": ROOT / "hub" / "trueup_hub",
    "trueup_shared": ROOT / "shared" / "trueup_shared",
}
MODULES = sorted(path for root in PACKAGES.values() for path in root.rglob("*.py") if "node_modules" not in path.parts)
SQL = sorted(path for root in PACKAGES.values() for path in root.rglob("*.sql"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


@functools.cache
def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree_of(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def package_of(path: Path) -> str:
    return next(name for name, root in PACKAGES.items() if path.is_relative_to(root))


def inside(path: Path) -> str:
    """Path inside its package, as in `harnesses/claude.py`."""
    return path.relative_to(PACKAGES[package_of(path)]).as_posix()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_agent_and_hub_never_import_each_other_and_shared_imports_neither(path: Path) -> None:
    forbidden = {
        "trueup_agent": {"trueup_hub"},
        "trueup_hub": {"trueup_agent"},
        "trueup_shared": {"trueup_agent", "trueup_hub"},
    }[package_of(path)]
    assert not {name.split(".")[0] for name in imported(path)} & forbidden


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_at_most_400_lines_and_its_functions_60(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1})"
        for node in ast.walk(tree_of(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= 60
    ]
    assert not long


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_a_test_file_has_at_most_300_lines(path: Path) -> None:
    assert path.read_text().count("\n") <= 300


@pytest.mark.parametrize("path", [p for p in SQL if "migrations" not in p.parts], ids=name_of)
def test_sql_lives_in_named_blocks_of_at_most_40_lines(path: Path) -> None:
    blocks = re.split(r"^-- (\w+): \S.*$", path.read_text(), flags=re.MULTILINE)
    assert not blocks[0].strip().strip("-").strip() or blocks[0].lstrip().startswith("--")
    names, bodies = blocks[1::2], blocks[2::2]
    assert names
    assert len(names) == len(set(names))
    assert not [name for name, body in zip(names, bodies, strict=True) if body.strip().count("\n") >= 40]


@pytest.mark.parametrize("path", [p for p in MODULES if package_of(p) == "trueup_hub"], ids=name_of)
def test_on_the_hub_only_handlers_and_the_app_know_http_and_only_db_knows_the_driver(path: Path) -> None:
    names, where = {name.split(".")[0] for name in imported(path)}, inside(path)
    web = where.startswith("handlers/") or where in {
        "app.py", "route.py", "routes.py", "keys.py", "middleware.py", "responses.py", "cli/up.py", "cli/hub.py",
    }  # fmt: skip
    assert web or "aiohttp" not in names
    assert where == "db.py" or "asyncpg" not in names


@pytest.mark.parametrize("path", [p for p in MODULES if package_of(p) == "trueup_agent"], ids=name_of)
def test_on_the_agent_only_the_hub_client_and_the_control_socket_know_http(path: Path) -> None:
    allowed = {"push/hub_client.py", "control.py"}
    assert inside(path) in allowed or "aiohttp" not in {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_command_line_reads_argv_and_environment(path: Path) -> None:
    text = path.read_text()
    if "cli" in inside(path).split("/") or inside(path) in {"cli.py", "__main__.py"}:
        return
    assert not re.search(r"\bsys\.argv\b|\bos\.environ\b|\bos\.getenv\b", text)


@pytest.mark.parametrize("path", [p for p in MODULES if inside(p).startswith("harnesses/")], ids=name_of)
def test_a_parser_lists_folders_but_opens_no_file_database_or_socket(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {"sqlite3", "aiosqlite", "socket", "subprocess", "io"}
    assert not re.search(r"\bopen\(|\.read_(?:bytes|text)\(", path.read_text())


@pytest.mark.parametrize("package", ["trueup_agent", "trueup_hub"])
def test_the_tree_of_a_packages_errors_is_drawn_whole_where_it_stands(package: str) -> None:
    tree = tree_of((PACKAGES[package] / "errors.py").read_text())
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    drawn = ast.get_docstring(tree) or ""
    assert classes
    assert not [name for name in classes if not re.search(rf"^[ │├└─]*{name}\b", drawn, flags=re.MULTILINE)]
    elsewhere = [path for path in MODULES if package_of(path) == package and inside(path) != "errors.py"]
    ours = re.compile(rf"^class \w+\((?:errors\.)?(?:{'|'.join(classes)})\):", flags=re.MULTILINE)
    assert not [name_of(path) for path in elsewhere if ours.search(path.read_text())]
