"""Where OpenCode keeps its logs, on every platform, and what is recognised elsewhere."""

from pathlib import Path

import pytest

import opencode_store as store
from opencode_store import answer, database, session, tokens, user
from processes import environment, trueup
from scanned import scanned
from trueup_agent.harnesses import HARNESSES

OPENCODE = HARNESSES["opencode"]
ENTRY = session("ses_1", user("msg_u"), answer("msg_a", 5, tokens(100, 50)))


def other(number: int, input: int) -> store.Json:
    return session(f"ses_{number}", answer(f"msg_{number}", number, tokens(input, 1)))


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, [".local/share/opencode"]),
        ("darwin", {}, [".local/share/opencode", "Library/Application Support/opencode"]),
        ("win32", {}, [".local/share/opencode", "AppData/Local/opencode"]),
        ("win32", {"LOCALAPPDATA": "{home}/L"}, [".local/share/opencode", "L/opencode"]),
        ("linux", {"XDG_DATA_HOME": "{home}/x"}, ["x/opencode"]),
        ("linux", {"OPENCODE_DB": "mine.db"}, [".local/share/opencode", ".local/share/opencode/mine.db"]),
        ("linux", {"OPENCODE_DB": "{home}/w/mine.db"}, [".local/share/opencode", "w/mine.db"]),
        ("linux", {"OPENCODE_DB": ":memory:"}, [".local/share/opencode"]),
        ("linux", {"OPENCODE_DATA_DIR": "/peer", "OPENCODE_DIR": "/peer"}, [".local/share/opencode"]),
    ],
)
def test_data_folders_follow_the_producer_and_no_peer(
    tmp_path: Path, platform: str, environ: dict[str, str], expected: list[str]
) -> None:
    named = {name: value.format(home=tmp_path) for name, value in environ.items()}
    assert OPENCODE.data_folders(tmp_path, named, platform) == [tmp_path / path for path in expected]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
async def test_every_channel_and_the_older_tree_are_read_in_the_home_of_each_platform(
    tmp_path: Path, platform: str
) -> None:
    home = tmp_path / "home"
    data = home / ".local/share/opencode"
    database(data / "opencode.db", other(1, 1))
    database(data / "opencode-dev.db", other(2, 10))
    database(data / "opencode-canary.1.db", other(3, 100))
    database(data / "unrelated.db", other(4, 1000))
    store.tree(data / "storage", other(5, 10_000))
    seen = await scanned(tmp_path, "opencode", home, home=True, platform=platform)
    assert (seen.totals()["input_tokens"], seen.totals()["sessions"]) == (10_111, 4)


@pytest.mark.parametrize("place", ["mine.db", "{home}/work/mine.db"])
async def test_the_database_that_the_variable_names_is_read_wherever_it_is(tmp_path: Path, place: str) -> None:
    home = tmp_path / "home"
    named = place.format(home=home)
    database(home / ".local/share/opencode" / named, ENTRY)
    seen = await scanned(tmp_path, "opencode", home, home=True, environ={"OPENCODE_DB": named})
    assert seen.totals()["input_tokens"] == 100


@pytest.mark.parametrize("root", ["", ".local/share", ".local/share/opencode", ".local/share/opencode/opencode.db"])
async def test_a_root_may_be_a_home_a_data_folder_or_a_database(tmp_path: Path, root: str) -> None:
    database(tmp_path / "home/.local/share/opencode/opencode.db", ENTRY)
    seen = await scanned(tmp_path, "opencode", tmp_path / "home" / root)
    assert seen.totals()["input_tokens"] == 100


@pytest.mark.parametrize("root", ["", "storage", "storage/session/p1/ses_1.json", "storage/session"])
async def test_a_root_may_be_a_tree_or_a_session_of_it(tmp_path: Path, root: str) -> None:
    store.tree(tmp_path / "home" / "storage", ENTRY)
    seen = await scanned(tmp_path, "opencode", tmp_path / "home" / root)
    assert (seen.totals()["input_tokens"], seen.totals()["messages"]) == (100, 2)


async def test_exports_are_found_by_content_whatever_they_are_called(tmp_path: Path) -> None:
    store.export(tmp_path / "x" / "deep" / "cart.json", ENTRY)
    (tmp_path / "x" / "other.json").write_text('{"info": {"version": 3}, "messages": []}')
    (tmp_path / "x" / "list.json").write_text("[1]")
    seen = await scanned(tmp_path, "opencode", tmp_path / "x")
    assert [Path(source.path).name for source in seen.sources()] == ["cart.json"]
    assert seen.totals()["input_tokens"] == 100


async def test_an_export_under_a_name_for_lines_is_read_as_one_document(tmp_path: Path) -> None:
    store.export(tmp_path / "x" / "full.jsonl", ENTRY)
    assert (await scanned(tmp_path, "opencode", tmp_path / "x")).totals()["input_tokens"] == 100


async def test_a_database_of_another_name_is_recognised_by_its_tables(tmp_path: Path) -> None:
    ours = database(tmp_path / "x" / "copy.sqlite", ENTRY)
    head = ours.read_bytes()[: 64 << 10]
    assert OPENCODE.recognise(ours, head) is not None
    assert OPENCODE.recognise(ours, head.replace(b"part (", b"`part`(")) is not None
    assert OPENCODE.recognise(ours, b"SQLite format 3\x00" + b"\x00" * 100) is None
    assert OPENCODE.recognise(tmp_path / "opencode.db", b"SQLite format 3\x00" + b"\x00" * 100) is not None


async def test_messages_whose_session_is_gone_are_read_without_it(tmp_path: Path) -> None:
    storage = store.tree(tmp_path / "home" / "storage", ENTRY, other(2, 7))
    (storage / "session/p1/ses_1.json").unlink()
    seen = await scanned(tmp_path, "opencode", tmp_path / "home")
    assert seen.totals()["input_tokens"] == 107
    assert [(s.session_id, s.project_path) for s in seen.sessions()] == [("ses_1", None), ("ses_2", store.CWD)]


async def test_a_session_that_moves_to_another_project_stays_one_source(tmp_path: Path) -> None:
    storage = store.tree(tmp_path / "home" / "storage", ENTRY)
    seen = await scanned(tmp_path, "opencode", tmp_path / "home")
    (storage / "session/p1").rename(storage / "session/p2")
    await seen.scan()
    assert [Path(source.path).parent.name for source in seen.sources()] == ["p2"]
    assert seen.totals()["input_tokens"] == 100


def test_an_unreadable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    errors: list[OSError] = []
    assert list(OPENCODE.sources(tmp_path, errors)) == []
    assert [error.filename for error in errors] == [str(tmp_path)]


def test_doctor_says_that_the_database_that_the_variable_names_was_found(tmp_path: Path) -> None:
    home = tmp_path / "home"
    named = database(home / "work" / "mine.db", ENTRY)
    environ = environment(home, tmp_path / "data", OPENCODE_DB=str(named))
    (finding,) = trueup("agent", "doctor", "opencode", "--json", env=environ).json["harnesses"]
    assert {"path": str(named), "state": "found"} in finding["places"]
    assert (finding["sources"], finding["unread"]) == (1, 1)
