"""Where Crush's databases are found: by its registry, and below projects."""

import json
from pathlib import Path
from typing import Any

import pytest

from databases import write
from scanned import Scanned, scanned
from trueup_agent.harnesses.crush import HARNESS
from trueup_agent.harnesses.crush.registry import entries

REGISTRY = ".local/share/crush/projects.json"


def project(path: Path, session: str, data_dir: str = ".crush") -> Path:
    row = {"id": session, "cost": 0.1, "created_at": 1782892800, "updated_at": 1782892800}
    return write(path / data_dir / "crush.db", {"sessions": [row]})


async def registered(tmp_path: Path, registry: Any) -> Scanned:
    path = tmp_path / "home" / REGISTRY
    path.parent.mkdir(parents=True)
    path.write_text(registry if isinstance(registry, str) else json.dumps(registry), encoding="utf-8")
    return await scanned(tmp_path, "crush", tmp_path / "home", home=True)


@pytest.mark.parametrize("as_object", [True, False])
async def test_the_registry_names_the_projects_as_an_object_or_a_list(tmp_path: Path, as_object: bool) -> None:
    shop, docs = tmp_path / "src" / "shop", tmp_path / "src" / "docs"
    project(shop, "relative")
    project(docs, "absolute", "elsewhere")
    listed = [
        {"path": str(shop), "data_dir": ".crush", "last_accessed": "2026-07-01T08:00:00Z"},
        {"path": str(docs), "data_dir": str(docs / "elsewhere")},
        {"path": str(tmp_path / "gone")},
        {"data_dir": ".crush"},
        "broken",
    ]
    scan = await registered(tmp_path, {"projects": listed} if as_object else listed)
    found = {session.session_id: session.project_path for session in scan.sessions()}
    assert found == {"relative": str(shop), "absolute": str(docs)}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"projects": 5}', "7", '{"projects": {"a": 1}}'])
async def test_a_missing_or_broken_registry_names_none(tmp_path: Path, content: str) -> None:
    assert (await registered(tmp_path, content)).sessions() == []
    assert entries(None) == []


async def test_the_default_data_folder_is_below_the_project() -> None:
    raw = json.dumps({"projects": [{"path": "/src/shop"}]}).encode()
    assert entries(raw) == [(Path("/src/shop"), Path("/src/shop/.crush/crush.db"))]


async def test_a_project_or_a_folder_of_projects_can_be_the_root(tmp_path: Path) -> None:
    project(tmp_path / "src" / "shop", "one")
    project(tmp_path / "src" / "docs", "two")
    (tmp_path / "src" / "docs" / "crush.db").write_bytes(b"no database")
    one = await scanned(tmp_path / "a", "crush", tmp_path / "src" / "shop")
    data = await scanned(tmp_path / "b", "crush", tmp_path / "src" / "shop" / ".crush")
    both = await scanned(tmp_path / "c", "crush", tmp_path / "src")
    assert [len(scan.sessions()) for scan in (one, data, both)] == [1, 1, 2]
    assert data.sessions()[0].project_path == str(tmp_path / "src" / "shop")


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, ".local/share/crush"),
        ("darwin", {}, ".local/share/crush"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/crush"),
        ("win32", {}, "AppData/Local/crush"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/crush"),
        ("darwin", {"CRUSH_GLOBAL_DATA": "/named"}, "/named"),
    ],
)
def test_its_folder_on_each_platform(platform: str, environ: dict[str, str], expected: str) -> None:
    assert HARNESS.data_folders(Path("/home/ana"), environ, platform)[0] == Path("/home/ana") / expected
