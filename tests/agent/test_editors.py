"""Where VS Code and its forks keep what extensions store."""

from pathlib import Path

import pytest

from trueup_agent.harnesses import editors

EXTENSION = "saoudrizwan.claude-dev"


@pytest.mark.parametrize(
    ("platform", "base"),
    [("linux", ".config"), ("darwin", "Library/Application Support"), ("win32", "AppData/Roaming")],
)
def test_each_known_editor_has_its_folder_on_each_platform_before_it_is_installed(
    tmp_path: Path, platform: str, base: str
) -> None:
    found = editors.global_storage(tmp_path, {}, platform, EXTENSION)
    for app in ("Code", "Code - Insiders", "VSCodium", "Cursor", "Windsurf", "Positron", "Antigravity"):
        assert tmp_path / base / app / "User" / "globalStorage" / EXTENSION in found
    assert len(set(found)) == len(found)


def test_a_fork_that_nobody_listed_is_found_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / ".config" / "Trae" / "User" / "globalStorage").mkdir(parents=True)
    (tmp_path / ".config" / "Game" / "User").mkdir(parents=True)
    found = editors.user_folders(tmp_path, {}, "linux")
    assert tmp_path / ".config" / "Trae" / "User" in found
    assert tmp_path / ".config" / "Game" / "User" not in found


@pytest.mark.parametrize("server", [".vscode-server", ".vscode-server-insiders", ".cursor-server"])
def test_known_remote_servers_are_named_and_others_found(tmp_path: Path, server: str) -> None:
    (tmp_path / ".trae-server" / "data" / "User" / "workspaceStorage").mkdir(parents=True)
    found = editors.user_folders(tmp_path, {}, "linux")
    assert tmp_path / server / "data" / "User" in found
    assert tmp_path / ".trae-server" / "data" / "User" in found


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"XDG_CONFIG_HOME": "/cfg"}, "/cfg/Code/User"),
        ("win32", {"APPDATA": "/roaming"}, "/roaming/Code/User"),
        ("darwin", {"VSCODE_APPDATA": "/data"}, "/data/Code/User"),
        ("linux", {"VSCODE_PORTABLE": "/stick/data"}, "/stick/data/user-data/User"),
        ("linux", {"VSCODE_AGENT_FOLDER": "/remote"}, "/remote/data/User"),
    ],
)
def test_the_editors_own_variables_are_honoured(
    tmp_path: Path, platform: str, environ: dict[str, str], expected: str
) -> None:
    assert Path(expected) in editors.user_folders(tmp_path, environ, platform)
    assert Path(expected) not in editors.user_folders(tmp_path, {}, platform)


def test_a_sandboxed_editor_is_found_on_linux_only(tmp_path: Path) -> None:
    user = tmp_path / ".var/app/com.vscodium.codium/config/VSCodium/User"
    (user / "globalStorage").mkdir(parents=True)
    assert user in editors.user_folders(tmp_path, {}, "linux")
    assert user in editors.user_folders(tmp_path, {}, "linux", ["VSCodium"])
    assert user not in editors.user_folders(tmp_path, {}, "linux", ["Cursor"])
    assert user not in editors.user_folders(tmp_path, {}, "darwin")


def test_named_editors_alone_are_looked_at_where_only_they_matter(tmp_path: Path) -> None:
    assert editors.user_folders(tmp_path, {}, "linux", ["Cursor"]) == [tmp_path / ".config/Cursor/User"]
    assert editors.workspace_storage(tmp_path, {}, "linux", ["Code"]) == [
        tmp_path / ".config/Code/User/workspaceStorage"
    ]


def test_a_home_that_cannot_be_listed_still_has_its_known_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert editors.user_folders(tmp_path / "file", {}, "linux")
