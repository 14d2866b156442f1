"""OpenClaw: formats/openclaw.md, where it differs from pi."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from given import SAMPLES, needs_given
from parsed import Parse
from pi_lines import answer, at, header, line, prompt, session, usage
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_shared.keys import session_key

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "openclaw"
CLAW = HARNESSES["openclaw"]
ID = "0c1a0000-0000-4000-8000-000000000001"
FILE = Path(f"/home/ana/.openclaw/agents/main/sessions/{ID}.jsonl")


def snapshot(seconds: float = 0.1) -> bytes:
    data = {"provider": "anthropic", "modelId": "claude-sonnet-4-6"}
    return line(type="custom", customType="model-snapshot", id="c1", parentId=None, timestamp=at(seconds), data=data)


def parse(*lines: bytes) -> Parse:
    return Parse("openclaw").lines(FILE, lines)


async def test_a_home_gives_the_totals_that_were_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "openclaw", GOLDEN / "home", home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    expected["cost"] = {unit: Decimal(value) for unit, value in expected["cost"].items()}
    assert seen.totals() == expected


def write(folder: Path, lines: list[bytes], name: str = f"{ID}.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.mark.parametrize("end", ["reset.2026-05-19T20-00-00Z", "deleted.1779220800000"])
async def test_a_session_that_was_reset_or_deleted_after_it_was_read_counts_once(end: str, tmp_path: Path) -> None:
    folder = tmp_path / "agents/main/sessions"
    file = write(folder, [header(ID), *session()[1:]])
    seen = await scanned(tmp_path, "openclaw", tmp_path / "agents")
    before = seen.totals()
    file.rename(file.with_name(f"{file.name}.{end}"))
    write(folder, [header("new", 100), answer("b", 110, used=usage(1, 5, 0, 0))], "new.jsonl")
    await seen.scan()
    after = seen.totals()
    assert (before["output_tokens"], after["output_tokens"], after["gone"]) == (330, 335, 0)
    assert len(seen.sources()) == 2


def test_an_archived_session_keeps_the_identity_of_its_source(tmp_path: Path) -> None:
    folder = tmp_path / "agents/main/sessions"
    file = write(folder, session())
    [source] = CLAW.sources(tmp_path / "agents", [])
    file.rename(file.with_name(f"{file.name}.reset.1"))
    [archived] = CLAW.sources(tmp_path / "agents", [])
    assert (archived.identity, archived.path.name) == (source.identity, f"{ID}.jsonl.reset.1")


def test_several_files_of_one_session_are_several_sources(tmp_path: Path) -> None:
    for name in (f"{ID}.jsonl", f"{ID}.jsonl.reset.1", f"{ID}.jsonl.reset.2"):
        write(tmp_path / "agents/main/sessions", session(), name)
    assert len({source.identity for source in CLAW.sources(tmp_path / "agents", [])}) == 3


def test_locks_and_the_index_are_no_sessions(tmp_path: Path) -> None:
    for name in (f"{ID}.jsonl.lock", "sessions.json", "notes.txt", f"{ID}.jsonl"):
        write(tmp_path / "agents/main/sessions", session(), name)
    write(tmp_path / "agents/main", session(), "other.jsonl")
    assert [source.path.name for source in CLAW.sources(tmp_path / "agents", [])] == [f"{ID}.jsonl"]


def test_the_model_comes_from_the_last_snapshot_where_the_answer_names_none() -> None:
    record = json.loads(answer("m2", 9))
    del record["message"]["model"], record["message"]["provider"]
    [event] = parse(header(ID), snapshot(), line(**record)).in_order()
    assert (event.provider, event.model) == ("anthropic", "claude-sonnet-4-6")


def test_an_answer_without_usage_is_a_message_and_no_event() -> None:
    record = json.loads(answer("m2", 9))
    del record["message"]["usage"]
    seen = parse(header(ID), line(**record))
    assert (len(seen.events), len(seen.messages), seen.unmetered) == (0, 1, 1)


def test_text_that_the_gateway_delivered_is_no_answer() -> None:
    mirror = answer("m2", 9, provider="openclaw", model="delivery-mirror", used=usage(0, 0, 0, 0, 0))
    seen = parse(header(ID), mirror)
    assert (len(seen.events), seen.unmetered) == (0, 0)
    assert [row.kind for row in seen.messages.values()] == ["meta"]


async def test_state_folders_of_older_names_and_profiles_count_and_a_moved_copy_does_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(home / ".openclaw/agents/main/sessions", session())
    write(home / ".clawdbot/agents/main/sessions", session())
    write(
        home / ".openclaw-work/agents/main/sessions", [header("w"), answer("w1", 5, used=usage(1, 9, 0, 0))], "w.jsonl"
    )
    seen = await scanned(tmp_path, "openclaw", home, home=True)
    assert (seen.totals()["output_tokens"], len(seen.sources())) == (330 + 9, 3)


def test_a_fork_names_its_parents_file_and_counts_nothing_again() -> None:
    fork = [header("f", 3000, parentSession=str(FILE)), *session()[1:]]
    both = Parse("openclaw").lines(FILE, [header(ID), *session()[1:]]).lines(FILE.with_name("f.jsonl"), fork)
    assert (len(both.events), {event.session_key for event in both.in_order()}) == (3, {session_key("openclaw", ID)})
    assert both.sessions[session_key("openclaw", "f")].parent_key == session_key("openclaw", ID)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_folders_are_the_same_on_every_platform(platform: str, tmp_path: Path) -> None:
    (tmp_path / ".openclaw-work").mkdir()
    folders = CLAW.data_folders(tmp_path, {}, platform)
    names = {str(folder.relative_to(tmp_path).as_posix()) for folder in folders}
    older = {".clawdbot", ".moltbot", ".moldbot", ".kimi_openclaw"}
    assert names == {f"{name}/agents" for name in {".openclaw", ".openclaw-dev", ".openclaw-work"} | older}


def test_its_own_variable_moves_the_state_folder() -> None:
    home = Path("/home/ana")
    assert CLAW.data_folders(home, {"OPENCLAW_STATE_DIR": "~/claw"}, "linux") == [home / "claw/agents"]
    assert CLAW.data_folders(home, {"OPENCLAW_STATE_DIR": "/srv/claw"}, "linux") == [Path("/srv/claw/agents")]


@pytest.mark.parametrize("root", ["", ".openclaw", ".openclaw/agents"])
def test_a_root_is_a_home_or_anything_below_it(root: str, tmp_path: Path) -> None:
    write(tmp_path / ".openclaw/agents/main/sessions", session())
    assert CLAW.folders_of_root(tmp_path / root) == [tmp_path / ".openclaw/agents"]


def test_files_found_elsewhere_are_told_from_pis_by_what_only_openclaw_writes() -> None:
    ours, pis = b"\n".join([header(ID), snapshot(), prompt("m1", 1)]), b"\n".join(session())
    assert CLAW.recognise(Path("/tmp/a.jsonl"), ours)
    assert CLAW.recognise(Path("/tmp/a.jsonl.reset.1"), ours)
    assert CLAW.recognise(Path("/tmp/a.jsonl"), pis) is None
    assert CLAW.recognise(FILE, pis)
    assert HARNESSES["pi"].recognise(Path("/tmp/a.jsonl"), ours) is None


@needs_given
def test_every_sample_is_known_and_none_of_another_harness_is_taken_for_one() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    claimed = {path for path in files if CLAW.recognise(path, path.read_bytes()[: 64 << 10])}
    assert claimed == set((SAMPLES / "openclaw").rglob("*.jsonl"))


@needs_given
@pytest.mark.parametrize(("name", "messages"), [("small", 3), ("large", 7), ("schema_drift", 4)])
def test_the_samples_have_messages_and_usage_that_nobody_knows(name: str, messages: int) -> None:
    seen = Parse("openclaw").file(SAMPLES / "openclaw/agent-sessions" / f"{name}.jsonl")
    assert (len(seen.events), len(seen.messages), seen.skipped) == (0, messages, {})
