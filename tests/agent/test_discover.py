"""Where logs are looked for."""

from pathlib import Path

import pytest

from claude_home import make_logs, write_logs
from trueup_agent.discover import RootArg, discover, parse_root, watched_folders
from trueup_agent.errors import RootNotFound
from trueup_agent.harnesses.folders import walk
from trueup_agent.settings import HarnessSettings, Places

LOGS = make_logs(2)


def paths(places: Places, *roots: RootArg) -> list[str]:
    return sorted(str(found.source.path) for found in discover(places, roots or None).found)


def places(home: Path, **fields: object) -> Places:
    return Places(**{"homes": [home], "own_home": home, "platform": "linux", **fields})


def test_the_homes_own_folders_are_looked_at(tmp_path: Path) -> None:
    write_logs(tmp_path, LOGS)
    assert paths(places(tmp_path)) == sorted(str(tmp_path / name) for name in LOGS)
    assert tmp_path / ".claude/projects" in watched_folders(places(tmp_path))


def test_the_harness_own_environment_variable_speaks_of_the_own_home_only(tmp_path: Path) -> None:
    write_logs(tmp_path / "elsewhere", {name.removeprefix(".claude/"): text for name, text in LOGS.items()})
    (tmp_path / "own").mkdir()
    environ = {"CLAUDE_CONFIG_DIR": str(tmp_path / "elsewhere")}
    assert len(paths(places(tmp_path / "own", environ=environ))) == 2
    assert paths(places(tmp_path / "own", own_home=tmp_path / "other", environ=environ)) == []


@pytest.mark.parametrize("below", ["", ".claude", ".claude/projects", ".claude/projects/-home-ana-shop"])
def test_a_root_is_a_home_a_harness_home_a_data_folder_or_anything_that_holds_logs(tmp_path: Path, below: str) -> None:
    write_logs(tmp_path / "h", LOGS)
    (tmp_path / "h" / below / "notes.jsonl").write_text('{"text": "none of ours"}\n')
    found = paths(places(tmp_path), RootArg("claude", tmp_path / "h" / below))
    assert {str(tmp_path / "h" / name) for name in LOGS} <= set(found)


def test_a_root_may_be_a_single_file(tmp_path: Path) -> None:
    write_logs(tmp_path, {"export.jsonl": LOGS[min(LOGS)], "other.jsonl": b'{"a": 1}\n'})
    assert paths(places(tmp_path), parse_root(f"claude={tmp_path}/export.jsonl")) == [str(tmp_path / "export.jsonl")]
    assert paths(places(tmp_path), parse_root(f"claude={tmp_path}/other.jsonl")) == []


def test_roots_of_the_settings_replace_the_usual_places(tmp_path: Path) -> None:
    write_logs(tmp_path / "usual", LOGS)
    write_logs(tmp_path / "named", {min(LOGS): LOGS[min(LOGS)]})
    settings = {"claude": HarnessSettings(roots=[str(tmp_path / "named")])}
    assert paths(places(tmp_path / "usual", harnesses=settings)) == [str(tmp_path / "named" / min(LOGS))]
    off = {"claude": HarnessSettings(enabled=False)}
    assert paths(places(tmp_path / "usual", harnesses=off)) == []


def test_a_root_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(RootNotFound, match="does not exist"):
        paths(places(tmp_path), RootArg("claude", tmp_path / "missing"))


def test_a_log_below_a_linked_home_is_one_source(tmp_path: Path) -> None:
    write_logs(tmp_path / "real", LOGS)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    both = Places(homes=[tmp_path / "real", tmp_path / "link"], platform="linux")
    assert paths(both) == sorted(str(tmp_path / "real" / name) for name in LOGS)


def test_a_folder_that_goes_away_while_it_is_looked_through_is_told_and_no_more(tmp_path: Path) -> None:
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
    told: list[OSError] = []
    steps = walk(tmp_path, told.append)
    assert next(steps)[0] == tmp_path
    (tmp_path / "b" / "c").rmdir()
    (tmp_path / "b").rmdir()
    assert [folder.name for folder, _, _ in steps] == ["a"]
    assert [error.filename for error in told] == [str(tmp_path / "b")]


def test_links_are_followed_and_no_folder_is_entered_twice(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    found = [folder / name for folder, _, names in walk(tmp_path, print) for name in names]
    assert found == [tmp_path / "a" / "log"]
