"""A setting comes from flag, then environment, then file, then default; what is wrong is named."""

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from trueup_shared.settings import SettingError, load, read_file


class Example(msgspec.Struct, frozen=True):
    port: int = 8787
    secret: str | None = None
    folder: Path | None = None


def test_flag_beats_environment_beats_file_beats_default() -> None:
    assert load(Example, {}, {}, {}).port == 8787
    assert load(Example, {"port": 1}, {}, {}).port == 1
    assert load(Example, {"port": 1}, {"TRUEUP_PORT": "2"}, {}).port == 2
    assert load(Example, {"port": 1}, {"TRUEUP_PORT": "2"}, {"port": 3}).port == 3
    assert load(Example, {"port": 1}, {}, {"port": None}).port == 1


def test_a_secret_can_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hush\n")
    assert load(Example, {}, {"TRUEUP_SECRET_FILE": str(tmp_path / "s")}, {}).secret == "hush"


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="TRUEUP_SECRET_FILE"):
        load(Example, {}, {"TRUEUP_SECRET_FILE": str(tmp_path / "absent")}, {})


def test_an_unknown_key_in_the_file_is_named() -> None:
    with pytest.raises(SettingError, match="prot"):
        load(Example, {"prot": 1}, {}, {})


def test_a_value_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(SettingError, match="port"):
        load(Example, {}, {"TRUEUP_PORT": "eighty"}, {})


def test_a_path_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    assert load(Example, {}, {"TRUEUP_FOLDER": "~/logs"}, {}).folder == Path("/home/ana/logs")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("port = = 1")
    with pytest.raises(SettingError, match=r"config\.toml"):
        read_file(tmp_path / "config.toml")


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    assert read_file(tmp_path / "absent.toml") == {}
    assert read_file(None) == {}


class Choice(msgspec.Struct, frozen=True):
    send: Literal["name", "hash", "none"] = "name"
    many: list[str] = []


def test_a_wrong_value_is_named_with_the_place_it_came_from() -> None:
    wanted = {
        "setting 'port' from TRUEUP_PORT: expected int": lambda: load(Example, {"port": 1}, {"TRUEUP_PORT": "x"}, {}),
        "setting 'port' from the settings file: expected int": lambda: load(Example, {"port": "x"}, {}, {}),
        "setting 'port' from the command line: expected int": lambda: load(Example, {}, {}, {"port": "x"}),
        "setting 'send' from TRUEUP_SEND: write name, hash or none": lambda: load(
            Choice, {}, {"TRUEUP_SEND": "all"}, {}
        ),
        "setting 'many' from the settings file: expected str": lambda: load(Choice, {"many": [1]}, {}, {}),
    }
    for message, wrong in wanted.items():
        with pytest.raises(SettingError) as caught:
            wrong()
        assert str(caught.value) == message


def test_an_empty_variable_says_nothing() -> None:
    """As compose files and unit files leave them: `TRUEUP_DATABASE_URL=${DATABASE_URL:-}`."""
    assert load(Example, {"port": 1}, {"TRUEUP_PORT": "", "TRUEUP_SECRET_FILE": ""}, {}) == Example(port=1)
