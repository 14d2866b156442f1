"""A setting comes from flag, then environment, then file, then default; what is wrong is named."""

from pathlib import Path

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
