"""`forget` takes what it names and nothing else, says what that was, and leaves no trace of its content."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from forgetting import DAY, HISTORY, a_day, consistent, names
from ledger_rows import NOON, POLICY, event, message, session, update
from trueup_agent.errors import NothingToForget
from trueup_agent.ledger import Ledger, forget
from trueup_agent.ledger.forget import Forgotten, Selection, count
from trueup_shared import keys

FORK = keys.session_key("fake", "fork")
ALL_SESSIONS, ALL_EVENTS = {"s", "agent", "fork", "notes"}, {"e0", "e1", "e2", "sub", "other", "note"}


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(tmp_path / "data", POLICY)
    await ledger.write([update(*HISTORY)])
    yield ledger
    await ledger.close()


@pytest.mark.parametrize(
    "selection, sessions, events, messages",
    [
        (Selection(session="s"), {"fork", "notes"}, {"other", "note"}, 3),
        (Selection(session=FORK.hex()), {"s", "agent", "notes"}, ALL_EVENTS - {"other"}, 6),
        (Selection(project="shop"), {"notes"}, {"note"}, 2),
        (Selection(project="/home/ana/shop"), {"fork", "notes"}, {"other", "note"}, 3),
        (Selection(project="notes"), ALL_SESSIONS - {"notes"}, ALL_EVENTS - {"note"}, 5),
        (Selection(before=NOON + 2 * DAY), {"s", "fork"}, {"e2", "other"}, 2),
        (Selection(before=NOON + 9 * DAY), set(), set(), 0),
        (Selection(before=NOON + 9 * DAY, harness="codex"), ALL_SESSIONS, ALL_EVENTS, 7),
    ],
)  # fmt: skip
async def test_a_selection_takes_what_it_names_and_says_what_that_was(
    ledger: Ledger, selection: Selection, sessions: set[str], events: set[str], messages: int
) -> None:
    before = await ledger.head()
    expected = count(ledger.path.parent, selection)
    found = await forget.forget(ledger, selection)
    assert await names(ledger) == (sessions, events, messages)
    await consistent(ledger)
    assert before.rows - (await ledger.head()).rows == found.rows
    assert found.total_tokens == (11 * found.events or None)
    found.file_rewritten = False
    assert found == expected
    await ledger.write([update(*reversed(HISTORY), source="another place")])
    assert await names(ledger) == (sessions, events, messages)
    await consistent(ledger)


@pytest.mark.parametrize(
    "selection, says",
    [
        (Selection(session="t"), "no session t"),
        (Selection(session="s", harness="codex"), "no session s"),
        (Selection(project="shop2"), "no project shop2"),
        (Selection(session="twin"), "several harnesses have a session twin"),
    ],
)
async def test_what_is_not_there_or_not_clear_is_said_and_nothing_is_forgotten(
    ledger: Ledger, selection: Selection, says: str
) -> None:
    twins = [session("twin"), session("twin")]
    twins[1].key, twins[1].harness = keys.session_key("else", "twin"), "else"
    await ledger.write([update(*twins)])
    before = await ledger.head()
    with pytest.raises(NothingToForget, match=says):
        await forget.forget(ledger, selection)
    assert await ledger.head() == before


async def test_new_records_of_a_forgotten_session_count_and_bring_its_name_back(ledger: Ledger) -> None:
    await forget.forget(ledger, Selection(session="s"))
    await ledger.write([update(*HISTORY)])
    await ledger.write([update(*a_day(4, "new"))])
    sessions, events, messages = await names(ledger)
    assert (sessions, events, messages) == ({"s", "fork", "notes"}, {"new", "other", "note"}, 4)
    assert await ledger.query("SELECT started_at, project_path, title FROM sessions WHERE session_id = 's'") == [
        (NOON, None, None)
    ]
    await ledger.write([update(*HISTORY)])
    assert await ledger.query("SELECT project_path, title FROM sessions WHERE session_id = 's'") == [
        ("/home/ana/shop", "fix the cart")
    ]
    assert await names(ledger) == (sessions, events, messages)
    await consistent(ledger)
    await forget.forget(ledger, Selection(session="s"))
    assert await names(ledger) == ({"fork", "notes"}, {"other", "note"}, 3)
    await consistent(ledger)


SECRETS = (b"/home/ana/notes", b"a secret title", b"secret-branch", b"raw secret", b"the identity of it")


def secrets_in(folder: Path) -> set[bytes]:
    return {secret for path in folder.iterdir() for secret in SECRETS if secret in path.read_bytes()}


async def test_nothing_of_its_content_is_left_in_the_files(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    await ledger.query("PRAGMA secure_delete = OFF")  # as it is in some builds of SQLite
    project = {"project_path": "/home/ana/notes"}
    secret = session("x", started_at=NOON, title="a secret title", git_branch="secret-branch", **project)
    fields = {"session_name": "x", "family": bytes(16), "raw_usage": b"raw secret", **project}
    late = event("later", rank=1, identity="the identity of it", **fields)
    for n in range(300):  # restated again and again: earlier versions linger in free pages
        said = event("said", output_tokens=n, **fields | {"raw_usage": b"raw secret" * (1 if n else 2000)})
        note = message(f"n{n}", "x", **project)
        gone = update(secret, said, late, note, source="/home/ana/notes/log", state="source_gone")
        await ledger.write([gone])
    await ledger.write([update(session("s"), event("e"))])
    assert secrets_in(tmp_path) == set(SECRETS)
    found = await forget.forget(ledger, Selection(session="x"))
    assert (found.sessions, found.messages, found.events, found.set_aside, found.file_rewritten) == (1, 300, 1, 1, True)
    assert secrets_in(tmp_path) == set()
    assert await ledger.query("SELECT path FROM sources") == [("log",)]
    await consistent(ledger)
    await ledger.close()


async def test_a_file_that_could_not_be_rewritten_is_when_the_ledger_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_space(db: object) -> bool:
        return False

    ledger = await Ledger.open(tmp_path, POLICY)
    await ledger.query("PRAGMA secure_delete = OFF")
    await ledger.write([update(*HISTORY)])
    with monkeypatch.context() as patch:
        patch.setattr(forget, "rewrite_file", no_space)
        assert not (await forget.forget(ledger, Selection(project="notes"))).file_rewritten
    await ledger.close()
    assert secrets_in(tmp_path) == set()  # free space may yet hold what was there before
    again = await Ledger.open(tmp_path, POLICY)
    assert await again.get_meta(forget.REWRITE_DUE) is None
    assert secrets_in(tmp_path) == set()
    await consistent(again)
    await again.close()


async def test_whoever_reads_the_ledger_meanwhile_keeps_what_it_sees_and_this_is_said(ledger: Ledger) -> None:
    await ledger.query("PRAGMA busy_timeout = 50")
    with sqlite3.connect(ledger.path) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM sessions").fetchone() == (4,)
        found = await forget.forget(ledger, Selection(session="notes"))
        assert (found.sessions, found.file_rewritten) == (1, False)
        assert reader.execute("SELECT count(*) FROM sessions").fetchone() == (4,)
    reader.close()


async def test_whoever_is_interrupted_begins_again_and_ends_the_same(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "CHUNK_ROWS", 2)
    selection, whole = Selection(session="s"), count(ledger.path.parent, Selection(session="s"))

    def give_up(done: int, of: int) -> None:
        assert of == whole.rows
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await forget.forget(ledger, selection, give_up)
    await consistent(ledger)
    await ledger.write([update(*HISTORY)])
    rest = await forget.forget(ledger, selection)
    assert 0 < rest.rows == whole.rows - 4
    assert await names(ledger) == ({"fork", "notes"}, {"other", "note"}, 3)
    await consistent(ledger)


async def test_nothing_to_forget_changes_nothing(ledger: Ledger) -> None:
    before = await ledger.head()
    assert await forget.forget(ledger, Selection(before=NOON - DAY)) == Forgotten()
    assert await ledger.head() == before
