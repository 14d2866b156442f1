"""Where pi's sessions lie, what a scan of them gives, and that neither cuts nor order change it."""

import json
import random
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from given import CORPORA, SAMPLES, needs_given
from parsed import Parse
from pi_lines import FILE, FOLDER, FORK, answer, header, line, prompt, session, usage
from scanned import scanned
from trueup_agent.harnesses import HARNESSES

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "pi"
PI = HARNESSES["pi"]


async def test_a_home_gives_the_totals_that_were_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "pi", GOLDEN / "home", home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    expected["cost"] = {unit: Decimal(value) for unit, value in expected["cost"].items()}
    assert seen.totals() == expected
    assert {row.session_id: row.relationship for row in seen.sessions()}[FORK] == "fork"


async def test_a_migration_in_place_between_two_scans_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "sessions" / "--home-ana-shop--" / FILE.name
    file.parent.mkdir(parents=True)
    old = [json.loads(one) for one in session()]
    for record in old[1:]:
        del record["id"], record["parentId"]
    del old[0]["version"]
    file.write_bytes(b"\n".join(line(**record) for record in old) + b"\n")
    seen = await scanned(tmp_path, "pi", tmp_path / "sessions")
    before = seen.totals()
    file.write_bytes(b"\n".join([*session(), answer("aa000009", 60, "aa000006", usage(1, 1, 0, 0))]) + b"\n")
    await seen.scan()
    assert (before["output_tokens"], before["gone"]) == (330, 0)
    assert (seen.totals()["output_tokens"], seen.totals()["gone"]) == (331, 0)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_folders_are_the_same_on_every_platform(platform: str) -> None:
    home = Path("/home/ana")
    assert PI.data_folders(home, {}, platform) == [home / ".pi/agent/sessions", home / ".omp/agent/sessions"]


def test_its_own_variables_move_the_folders() -> None:
    home = Path("/home/ana")
    moved = PI.data_folders(home, {"PI_CODING_AGENT_DIR": "~/work/pi", "PI_DIR": "/elsewhere"}, "linux")
    assert moved[0] == home / "work/pi/sessions"
    named = {"PI_CODING_AGENT_DIR": "/a", "PI_CODING_AGENT_SESSION_DIR": "/s"}
    assert PI.data_folders(home, named, "linux")[0] == Path("/s")


@pytest.mark.parametrize("root", ["", ".pi", ".pi/agent", ".pi/agent/sessions"])
def test_a_root_is_a_home_or_anything_below_it(root: str, tmp_path: Path) -> None:
    sessions = tmp_path / ".pi/agent/sessions"
    (sessions / "--home-ana-shop--").mkdir(parents=True)
    assert PI.folders_of_root(tmp_path / root) == [sessions]


def test_a_folder_of_projects_under_another_name_is_a_data_folder(tmp_path: Path) -> None:
    (tmp_path / "--home-ana-shop--").mkdir()
    assert PI.folders_of_root(tmp_path) == [tmp_path]
    assert PI.folders_of_root(tmp_path / "--home-ana-shop--") == []


def test_a_file_found_elsewhere_is_known_by_its_header_or_its_entries() -> None:
    for head in (session(), session()[1:], [line(type="title", title="x"), *session()]):
        assert PI.recognise(Path("/tmp/a.jsonl"), b"\n".join(head))
    others = [b"", b"{}", b'{"type":"session_meta","payload":{}}', b'{"type":"user","sessionId":"x","message":{}}']
    for head in others:
        assert PI.recognise(Path("/tmp/a.jsonl"), head) is None
    assert PI.recognise(Path("/tmp/a.txt"), b"\n".join(session())) is None


@needs_given
def test_no_sample_of_another_harness_is_taken_for_pis() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    claimed = {path for path in files if PI.recognise(path, path.read_bytes()[: 64 << 10])}
    assert {path for path in claimed if (SAMPLES / "pi") not in path.parents} == set()
    assert len(claimed) == 4


def story(seed: int) -> list[bytes]:
    r, lines, parent, seconds = random.Random(seed), [header()], None, 0.0
    for number in range(12):
        seconds += r.choice([0, 0.001, 3.5])
        entry = f"{seed:04x}{number:04x}"
        used = usage(r.randrange(3), r.randrange(90), r.randrange(900), r.randrange(9))
        lines.append(prompt(entry, seconds, parent) if r.random() < 0.3 else answer(entry, seconds, parent, used))
        parent = entry if r.random() < 0.8 else parent
    return lines


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), cuts=st.sets(st.integers(1, 12)), fork_first=st.booleans())
def test_neither_cuts_nor_the_order_of_files_change_a_number(seed: int, cuts: set[int], fork_first: bool) -> None:
    whole = story(seed)
    fork = [header(FORK, 3000, parentSession=str(FILE)), *whole[1:]]
    files = [(FILE, whole), (FOLDER / f"2026-05-01T09-00-00-000Z_{FORK}.jsonl", fork)]
    expected = Parse("pi").lines(*files[0]).lines(*files[1]).everything()
    seen = Parse("pi")
    for path, lines in reversed(files) if fork_first else files:
        seen.lines(path, lines, cuts)
    assert seen.everything() == expected


EXPECTED = {  # EXPECTED.md; a field that a source lacks is unknown here where the table has 0
    "pi-mono/large-session.head.jsonl": (23, 98, 604_744, 122_904, 7_825, "0.7599822"),
    "agentsview/session.jsonl": (2, 300, None, None, 60, "0.015"),
    "agent-sessions/small.jsonl": (2, 24, 0, 0, 14, "0"),
}


@needs_given
@pytest.mark.parametrize("name", EXPECTED)
def test_every_sample_gives_the_expected_figures(name: str) -> None:
    seen = Parse("pi").file(SAMPLES / "pi" / name)
    totals = seen.totals()
    counters = [totals[f"{c}_tokens"] for c in ("input", "cache_read", "cache_write", "output")]
    cost = sum((Decimal(event.reported_cost or 0) for event in seen.events.values()), Decimal(0))
    assert (len(seen.events), *counters) == EXPECTED[name][:5]
    assert round(cost, 7) == Decimal(EXPECTED[name][5])  # floating point of the producer


@needs_given
async def test_the_corpus_gives_its_totals(tmp_path: Path) -> None:
    expected = json.loads((CORPORA / "expected.json").read_text(encoding="utf-8"))["pi/entireio+auth-go"]
    totals = (await scanned(tmp_path, "pi", CORPORA / "pi/entireio+auth-go")).totals()
    cost = float(totals["cost"]["usd"])
    assert round(cost, 4) == expected.pop("reported_cost_usd")
    assert {name: totals[f"{name}_tokens"] for name in expected} == expected
    assert (totals["skipped"], totals["unknown"]) == ({}, {})
