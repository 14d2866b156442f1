"""Where OpenHands keeps its conversations, and what is one of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from given import SAMPLES, needs_given
from trueup_agent.harnesses import HARNESSES

HANDS = HARNESSES["openhands"]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_folder_is_the_same_on_every_platform(platform: str) -> None:
    home = Path("/home/ana")
    assert HANDS.data_folders(home, {}, platform) == [home / ".openhands/conversations"]


def test_its_own_variables_move_the_folder() -> None:
    home = Path("/home/ana")
    assert HANDS.data_folders(home, {"OPENHANDS_PERSISTENCE_DIR": "~/oh"}, "linux") == [home / "oh/conversations"]
    both = {"OPENHANDS_PERSISTENCE_DIR": "/a", "OPENHANDS_CONVERSATIONS_DIR": "/b"}
    assert HANDS.data_folders(home, both, "linux") == [Path("/b")]


@pytest.mark.parametrize("root", ["", ".openhands", ".openhands/conversations"])
def test_a_root_is_a_home_or_anything_below_it(root: str, tmp_path: Path) -> None:
    folder = tmp_path / ".openhands/conversations"
    folder.mkdir(parents=True)
    assert HANDS.folders_of_root(tmp_path / root) == [folder]


def test_conversations_and_those_of_their_subagents_are_sources(tmp_path: Path) -> None:
    for place in ("a", "a/subagents/b", "c/events", "d"):
        (tmp_path / place).mkdir(parents=True)
    for place in ("a", "a/subagents/b", "d"):
        (tmp_path / place / "base_state.json").write_text("{}")
    found = list(HANDS.sources(tmp_path, []))
    assert [source.path.parent.relative_to(tmp_path).as_posix() for source in found] == ["a", "a/subagents/b", "d"]
    assert found[0].companions == (tmp_path / "a/events",)


def test_a_folder_that_is_closed_is_told_one_that_is_missing_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(path))

    errors: list[OSError] = []
    assert list(HANDS.sources(tmp_path / "none", errors)) == []
    assert errors == []
    monkeypatch.setattr(Path, "iterdir", closed)
    assert list(HANDS.sources(tmp_path, errors)) == []
    assert [error.filename for error in errors] == [str(tmp_path)]


def test_a_document_found_elsewhere_is_known_by_its_metrics() -> None:
    state = b'{"id":"x","agent":{},"stats":{"usage_to_metrics":{}}}'
    assert HANDS.recognise(Path("/tmp/any.json"), state)
    assert HANDS.recognise(Path("/tmp/base_state.json"), b'{"id":"x","agent":{"kind":"Agent"')
    for other in (b"", b"[]", b'{"agent":{}}', b'{"usage_to_metrics":{}}'):
        assert HANDS.recognise(Path("/tmp/any.json"), other) is None


@needs_given
def test_no_sample_of_another_harness_is_taken_for_its_own() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    assert not [path for path in files if HANDS.recognise(path, path.read_bytes()[: 64 << 10])]
