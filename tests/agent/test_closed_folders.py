"""Folders that are closed to us are told, and what lies beside them is read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from trueup_agent.discover import discover, watched_folders
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import SourceFile
from trueup_agent.harnesses.folders import children, is_dir, is_file
from trueup_agent.settings import HarnessSettings, Places

CLOSED = PermissionError(13, "Permission denied", "/closed")
PLACES = {
    "gemini": (".gemini/tmp/a/chats", "session-1.json"),
    "qwen": (".qwen/projects/a/chats", "1.jsonl"),
    "cursor": (".cursor/projects/a/agent-transcripts", "1.jsonl"),
    "antigravity": (".gemini/antigravity/brain/a/.system_generated/logs", "transcript.jsonl"),
}


@pytest.mark.parametrize("harness", PLACES)
def test_a_closed_folder_is_told_and_its_neighbour_read(
    harness: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, name = PLACES[harness]
    for project in ("a", "b"):
        (tmp_path / folder.replace("/a/", f"/{project}/")).mkdir(parents=True)
        (tmp_path / folder.replace("/a/", f"/{project}/") / name).write_text("{}")

    def closed(path: Path) -> bool:
        if "a" in path.parts[:-1]:
            raise CLOSED
        return path.exists()

    monkeypatch.setattr(Path, "is_dir", closed)
    monkeypatch.setattr(Path, "is_file", closed)
    errors: list[OSError] = []
    found = [
        source.path
        for data_folder in HARNESSES[harness].data_folders(tmp_path, {}, "linux")
        for source in HARNESSES[harness].sources(data_folder, errors)
    ]
    assert [set(path.parts) & {"a", "b"} for path in found] == [{"b"}]
    assert set(errors) == {CLOSED}


def test_a_look_without_anybody_to_tell_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> bool:
        raise CLOSED

    for name in ("is_dir", "is_file", "iterdir"):
        monkeypatch.setattr(Path, name, closed)
    assert (children(tmp_path), is_dir(tmp_path), is_file(tmp_path)) == ([], False, False)


def test_a_harness_whose_look_ends_early_is_told_and_says_of_nothing_that_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".iflow/projects/a/session-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("")

    def ended(folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        yield SourceFile(harness="iflow", path=path, identity=str(path))
        raise CLOSED

    monkeypatch.setattr(HARNESSES["iflow"], "sources", ended)
    others = {name: HarnessSettings(enabled=False) for name in HARNESSES if name not in ("iflow", "qwen")}
    found = discover(Places(homes=[tmp_path], own_home=tmp_path, environ={}, platform="linux", harnesses=others))
    assert [one.source.path for one in found.found] == [path]
    assert (found.unreadable, found.complete) == ({"/closed": "Permission denied"}, {"qwen"})


def test_what_lies_behind_a_closed_folder_is_told_once_by_the_topmost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / ".config"
    stat = Path.stat
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(closed))

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if closed in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    found = discover(Places(homes=[tmp_path], own_home=tmp_path, platform="linux"))
    assert found.unreadable == {str(closed): "Permission denied"}
    assert {"cline", "cursor", "vscode-copilot"}.isdisjoint(found.complete)
    assert "codex" in found.complete


@pytest.mark.parametrize("harness", HARNESSES)
def test_a_root_of_the_settings_that_is_away_is_told_and_watched_for(harness: str, tmp_path: Path) -> None:
    root = tmp_path / "not-mounted"
    others = {name: HarnessSettings(enabled=False) for name in HARNESSES if name != harness}
    places = Places(homes=[], harnesses=others | {harness: HarnessSettings(roots=[str(root)])})
    assert discover(places).unreadable == {str(root): "No such file or directory"}
    assert watched_folders(places) == ([root] if HARNESSES[harness].is_watched else [])
