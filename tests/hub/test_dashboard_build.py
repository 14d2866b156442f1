"""deploy/dashboard.py: builds when the sources changed, and only then; a failure leaves what was there."""

import gzip
import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture
def dashboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build with sources of its own and an npm that copies a page and counts its calls."""
    spec = importlib.util.spec_from_file_location("deploy_dashboard", DEPLOY / "dashboard.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SOURCES, module.BUILT = tmp_path / "a dashboard", tmp_path / "static"
    module.STAMP = module.BUILT / ".sources"
    for name in module.INPUTS:
        path = module.SOURCES / name
        if "." in name:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        else:
            path.mkdir()
    module.ran = []

    def npm(script: str, *arguments: str) -> None:
        module.ran.append(script)
        fresh = Path(arguments[arguments.index("--outDir") + 1])
        fresh.mkdir()
        (fresh / "index.html").write_text((module.SOURCES / "index.html").read_text())

    monkeypatch.setattr(module, "_npm_run", npm)
    return module


def test_a_second_build_does_nothing(dashboard: ModuleType) -> None:
    assert dashboard.build()
    assert not dashboard.build()
    assert dashboard.ran == ["build"]
    assert dashboard.is_built()


def test_changed_added_and_renamed_sources_are_built_again(dashboard: ModuleType) -> None:
    dashboard.build()
    (dashboard.SOURCES / "index.html").write_text("new")
    assert dashboard.build()
    (dashboard.SOURCES / "src/added.ts").write_text("x")
    assert dashboard.build()
    (dashboard.SOURCES / "src/added.ts").rename(dashboard.SOURCES / "src/renamed.ts")
    assert dashboard.build()
    assert (dashboard.BUILT / "index.html").read_text() == "new"
    assert sorted(path.name for path in dashboard.BUILT.parent.iterdir()) == ["a dashboard", "static"]


def test_scripts_and_styles_are_built_compressed_too(dashboard: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def npm(script: str, *arguments: str) -> None:
        assets = Path(arguments[arguments.index("--outDir") + 1]) / "assets"
        assets.mkdir(parents=True)
        for name in ("a-1.js", "a-1.css"):
            (assets / name).write_text(f"/* {name} */" * 100)

    monkeypatch.setattr(dashboard, "_npm_run", npm)
    dashboard.build()
    built = {path.name: path for path in (dashboard.BUILT / "assets").iterdir()}
    assert sorted(built) == ["a-1.css", "a-1.css.gz", "a-1.js", "a-1.js.gz"]
    for name in ("a-1.js", "a-1.css"):
        assert gzip.decompress(built[f"{name}.gz"].read_bytes()) == built[name].read_bytes()


def test_a_build_that_fails_leaves_the_page_that_was_there(
    dashboard: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard.build()

    def broken(script: str, *arguments: str) -> None:
        raise dashboard.BuildError("no")

    monkeypatch.setattr(dashboard, "_npm_run", broken)
    (dashboard.SOURCES / "index.html").write_text("new")
    with pytest.raises(dashboard.BuildError):
        dashboard.build()
    assert (dashboard.BUILT / "index.html").read_text() == "index.html"
    assert not dashboard.is_built()


def test_a_wrong_action_is_a_usage_error(dashboard: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard.main(["deploy"]) == 2
    assert "build|check|test" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("v20.18.9", False),
        ("v20.19.0", True),
        ("v21.7.0", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.0.0", True),
    ],
)
def test_a_node_is_good_if_vite_accepts_it(
    dashboard: ModuleType, monkeypatch: pytest.MonkeyPatch, version: str, good: bool
) -> None:
    monkeypatch.setattr(dashboard.shutil, "which", lambda name: name)
    said = subprocess.CompletedProcess([], 0, stdout=f"{version}\n")
    monkeypatch.setattr(dashboard.subprocess, "run", lambda *args, **kwargs: said)
    assert dashboard.system_npm_is_good() is good
