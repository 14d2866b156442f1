"""Where tasks of Cline and Roo Code are looked for, and which files are theirs (formats/cline.md, roocode.md)."""

import json
from pathlib import Path

import pytest

from scanned import scanned
from task_files import CLINE, NOON, ROO, request, say, write_task
from trueup_agent.harnesses import HARNESSES

ENTRIES = [say("text", "fix the cart"), request(1, 14, 230)]
STORAGES = {
    "linux": [
        ".config/Code/User/globalStorage",
        ".config/Some Fork/User/globalStorage",
        ".vscode-server/data/User/globalStorage",
    ],
    "darwin": ["Library/Application Support/Cursor/User/globalStorage"],
    "win32": ["AppData/Roaming/VSCodium/User/globalStorage"],
}
EXTENSIONS = {
    "cline": "saoudrizwan.claude-dev",
    "roocode": "rooveterinaryinc.roo-cline",
}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("harness", ["cline", "roocode"])
async def test_tasks_are_found_in_every_editor_of_a_platform(tmp_path: Path, harness: str, platform: str) -> None:
    home = tmp_path / "home"
    for number, storage in enumerate(STORAGES[platform]):
        write_task(home, ENTRIES, str(NOON + number), f"{storage}/{EXTENSIONS[harness]}")
    seen = await scanned(tmp_path, harness, home, home=True, platform=platform)
    assert seen.totals()["events"] == len(STORAGES[platform])


async def test_the_same_task_in_two_editors_counts_once(tmp_path: Path) -> None:
    for app in ("Code", "Cursor"):
        write_task(tmp_path / "home", ENTRIES, storage=CLINE.replace("Code", app))
    seen = await scanned(tmp_path, "cline", tmp_path / "home", home=True)
    assert (len(seen.sources()), seen.totals()["events"], seen.totals()["sessions"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("environ", "tasks", "sessions"),
    [
        ({}, ".cline/data/tasks", ".cline/data/sessions"),
        ({"CLINE_DIR": "{}/c"}, "c/data/tasks", "c/data/sessions"),
        ({"CLINE_DIR": "{}/c", "CLINE_DATA_DIR": "{}/d"}, "d/tasks", "d/sessions"),
        ({"CLINE_DATA_DIR": "{}/d", "CLINE_SESSION_DATA_DIR": "{}/s"}, "d/tasks", "s"),
    ],
)
def test_the_standalone_core_and_the_sdk_have_folders_of_their_own(
    tmp_path: Path, environ: dict[str, str], tasks: str, sessions: str
) -> None:
    environ = {name: value.format(tmp_path) for name, value in environ.items()}
    found = HARNESSES["cline"].data_folders(tmp_path, environ, "linux")
    assert {tmp_path / tasks, tmp_path / sessions} <= set(found)
    assert len([folder for folder in found if "globalStorage" not in folder.parts]) == 3


@pytest.mark.parametrize("below", ["", CLINE, f"{CLINE}/tasks", f"{CLINE}/tasks/{NOON}", f"{CLINE}/.."])
async def test_a_root_may_be_a_home_a_storage_its_tasks_or_one_task(tmp_path: Path, below: str) -> None:
    write_task(tmp_path / "home", ENTRIES)
    seen = await scanned(tmp_path, "cline", (tmp_path / "home" / below).resolve())
    assert (seen.totals()["events"], seen.totals()["sessions"]) == (1, 1)


async def test_a_list_under_another_name_is_known_by_its_entries(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text(json.dumps(ENTRIES), encoding="utf-8")
    (tmp_path / "other.json").write_text('[{"role": "user"}]', encoding="utf-8")
    seen = await scanned(tmp_path, "cline", tmp_path)
    assert [Path(source.path).name for source in seen.sources()] == ["export.json"]
    assert seen.totals()["events"] == 1


def test_what_is_not_ours_is_not_claimed(tmp_path: Path) -> None:
    for harness in ("cline", "roocode"):
        recognise = HARNESSES[harness].recognise
        assert recognise(tmp_path / "x.json", b'{"type":"session","id":"a"}') is None
        assert recognise(tmp_path / "x.jsonl", b'[{"ts":1,"say":"text"}]') is None
        assert recognise(tmp_path / "x.json", b'[{"role":"assistant"}]') is None
        assert recognise(tmp_path / "x.messages.json", b'[{"role":"assistant"}]') is None


async def test_zoo_code_is_read_as_roo_code(tmp_path: Path) -> None:
    write_task(
        tmp_path / "home", ENTRIES, storage=ROO.replace("rooveterinaryinc.roo-cline", "zoocodeorganization.zoo-code")
    )
    seen = await scanned(tmp_path, "roocode", tmp_path / "home", home=True)
    assert seen.totals()["events"] == 1


async def test_a_setting_of_the_editor_moves_the_tasks_of_roo_code(tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    write_task(elsewhere, ENTRIES, storage=".")
    settings = tmp_path / "home" / ".config/Code/User/settings.json"
    (settings.parent / "globalStorage").mkdir(parents=True)
    path = json.dumps(str(elsewhere))
    settings.write_text(f'{{\n // mine\n "editor.x": 1,\n "roo-cline.customStoragePath": {path},\n}}', encoding="utf-8")
    seen = await scanned(tmp_path, "roocode", tmp_path / "home", home=True)
    assert seen.totals()["events"] == 1
    settings.write_text('{"roo-cline.customStoragePath": ""}', encoding="utf-8")
    folders = HARNESSES["roocode"].data_folders(tmp_path / "home", {}, "linux")
    assert not [folder for folder in folders if not folder.is_relative_to(tmp_path / "home")]


async def test_a_folder_closed_to_us_does_not_hide_the_others(tmp_path: Path) -> None:
    write_task(tmp_path / "home", ENTRIES)
    (tmp_path / "home" / CLINE / "tasks" / "loop").symlink_to(tmp_path / "home" / CLINE / "tasks" / "loop")
    (tmp_path / "home" / CLINE / "tasks" / "_index.json").write_text("{", encoding="utf-8")
    seen = await scanned(tmp_path, "cline", tmp_path / "home", home=True)
    assert seen.totals()["events"] == 1
