"""Aider's analytics log, alone and beside the histories that tell of the same requests; and where both are found."""

import json
import random
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aider_lines import HISTORY, in_utc, logged, message, run, sent, tokens
from given import CORPORA, SAMPLES, needs_given
from parsed import Parse
from scanned import scanned
from trueup_agent.harnesses import HARNESSES

__all__ = ["in_utc"]
pytestmark = pytest.mark.usefixtures("in_utc")

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "aider"
AIDER = HARNESSES["aider"]
LOG = Path("/home/ana/analytics.jsonl")
AT = 1781013660  # 2026-06-09T14:01:00Z


def parse(*lines: bytes) -> Parse:
    return Parse("aider").lines(LOG, lines)


async def test_a_root_gives_the_totals_that_were_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "aider", GOLDEN / "root")
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    expected["cost"] = {unit: Decimal(value) for unit, value in expected["cost"].items()}
    assert seen.totals() == expected


def test_a_message_of_the_log_is_exact() -> None:
    [event] = parse(sent(AT, 3187, 66, 0.0086275, 0.5)).in_order()
    assert (event.input_undivided_tokens, event.output_tokens, event.lower_bounds) == (3187, 66, 0)
    assert (event.at, event.time_quality, event.model) == (AT * 1_000_000, 1, "gpt-4o")
    assert (event.reported_cost, event.reported_cost_status) == ("0.0086275", "estimated")


def test_the_cost_is_the_messages_and_not_the_sum_of_its_process() -> None:
    seen = parse(sent(AT, 10, 1, 0.25, 0.25), sent(AT + 9, 10, 2, 0.25, 0.5))
    assert sum(Decimal(event.reported_cost or 0) for event in seen.events.values()) == Decimal("0.5")


def test_a_process_that_was_launched_is_a_session() -> None:
    first = [logged("launched", AT), sent(AT + 5, 10, 1, 0, 0), sent(AT + 6, 10, 2, 0, 0)]
    seen = parse(*first, logged("launched", AT + 60), sent(AT + 65, 10, 3, 0, 0))
    assert len(seen.sessions) == 2
    assert sorted(row.started_at or 0 for row in seen.sessions.values()) == [AT * 10**6, (AT + 60) * 10**6]


def test_equal_messages_of_one_second_are_two_and_the_same_log_elsewhere_adds_none() -> None:
    twice = [sent(AT, 10, 1, 0, 0), sent(AT, 10, 1, 0, 0)]
    assert len(parse(*twice).lines(Path("/mnt/home/analytics.jsonl"), twice).events) == 2


def test_a_message_without_counters_counts_for_the_canary_and_zeros_do_not() -> None:
    seen = parse(logged("message_send", AT, main_model="gpt-4o"), sent(AT, 0, 0, 0, 0))
    assert (len(seen.events), seen.unmetered) == (0, 1)


def test_a_malformed_record_costs_that_record_alone() -> None:
    seen = parse(b"not json", b"[]", b'{"event":5,"properties":{}}', b'{"event":"x"}', sent(AT, 10, 1, 0, 0))
    assert (len(seen.events), seen.skipped) == (1, {"malformed": 4})


def write(root: Path, history: list[bytes], log: list[bytes]) -> None:
    (root / "shop").mkdir(parents=True)
    (root / "shop/.aider.chat.history.md").write_bytes(b"\n".join(history) + b"\n")
    (root / "analytics.jsonl").write_bytes(b"".join(line + b"\n" for line in log))


async def test_what_a_history_and_the_log_both_tell_counts_once_and_exactly(tmp_path: Path) -> None:
    printed = [("3.2k", "66", "0.0086", "0.0086"), ("11k", "1.1k", "0.03", "0.04"), ("900", "5", "0.000100", "0.04")]
    history = run(*(line for one in printed for line in message(line=tokens(*one))))
    exact = [(3187, 66, 0.0086275, 0.0086275), (11_240, 1128, 0.0312, 0.0398275), (900, 5, 0.0001, 0.0399275)]
    log = [logged("launched", AT + 2), *(sent(AT + 10 + n, *one) for n, one in enumerate(exact))]
    write(tmp_path / "root", history, log)
    seen = await scanned(tmp_path, "aider", tmp_path / "root")
    totals = seen.totals()
    assert (totals["events"], totals["input_undivided_tokens"], totals["output_tokens"]) == (3, 15_327, 1199)
    assert (totals["lower_bound"], len(seen.set_aside())) == (0, 3)


async def test_runs_before_the_log_and_requests_that_it_lacks_count_by_their_printed_lines(tmp_path: Path) -> None:
    before = run(*message(line=tokens(received="100")), started="2026-06-01 10:00:00")
    unlogged = run(*message(line=tokens(received="7")), *message(line=tokens(received="9", session="0.08")))
    write(tmp_path / "root", before + unlogged, [logged("launched", AT + 2), sent(AT + 3, 4200, 9, 0.02, 0.08)])
    totals = (await scanned(tmp_path, "aider", tmp_path / "root")).totals()
    assert (totals["events"], totals["output_tokens"]) == (3, 116)


async def test_equal_requests_that_are_told_twice_each_count_as_often_as_they_were_made(tmp_path: Path) -> None:
    history = run(*message(), *message())
    log = [logged("launched", AT), sent(AT + 1, 4200, 310, 0.02, 0.07), sent(AT + 2, 4210, 310, 0.02, 0.07)]
    write(tmp_path / "root", history, log)
    totals = (await scanned(tmp_path, "aider", tmp_path / "root")).totals()
    assert (totals["events"], totals["input_undivided_tokens"]) == (2, 8410)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_histories_have_no_place_of_their_own(platform: str) -> None:
    assert AIDER.data_folders(Path("/home/ana"), {}, platform) == []


def test_its_variables_name_files_unless_they_mean_another_in_each_repository() -> None:
    environ = {"AIDER_CHAT_HISTORY_FILE": "chat.md", "AIDER_ANALYTICS_LOG": "~/aider/log.txt"}
    assert AIDER.data_folders(Path("/home/ana"), environ, "linux") == [Path("/home/ana/aider/log.txt")]


async def test_a_log_that_its_variable_names_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    log = tmp_path / "aider.log"
    log.write_bytes(sent(AT, 10, 1, 0, 0) + b"\n")
    environ = {"AIDER_ANALYTICS_LOG": str(log)}
    seen = await scanned(tmp_path, "aider", tmp_path / "home", home=True, environ=environ)
    assert seen.totals()["output_tokens"] == 1


def test_a_root_is_looked_through_to_a_depth_without_build_and_dependency_folders(tmp_path: Path) -> None:
    for place in ("a", "a/node_modules/x", "b/build", "b/.venv/lib", "c/1/2/3/4", "c/1/2/3/4/5/6/7"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / ".aider.chat.history.md").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert AIDER.folders_of_root(tmp_path) == [tmp_path]
    found = {source.path.parent.relative_to(tmp_path).as_posix() for source in AIDER.sources(tmp_path, [])}
    assert found == {"a", "c/1/2/3/4"}


async def test_a_small_root_without_such_names_is_looked_through_for_what_fits(tmp_path: Path) -> None:
    for name, lines in (("talk.md", run(*message())), ("usage.jsonl", [sent(AT - 10**7, 10, 1, 0, 0)])):
        (tmp_path / "root").mkdir(exist_ok=True)
        (tmp_path / "root" / name).write_bytes(b"\n".join(lines) + b"\n")
    totals = (await scanned(tmp_path, "aider", tmp_path / "root")).totals()
    assert totals["output_tokens"] == 311
    for number in range(501):
        (tmp_path / "root" / f"{number}.txt").write_text("")
    assert AIDER.folders_of_root(tmp_path / "root") == [tmp_path / "root"]
    assert list(AIDER.sources(tmp_path / "root", [])) == []


@needs_given
def test_files_found_elsewhere_are_known_by_what_they_contain() -> None:
    assert AIDER.recognise(LOG, logged("launched", AT))
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    claimed = {path for path in files if AIDER.recognise(path, path.read_bytes()[: 64 << 10])}
    assert claimed == {SAMPLES / "aider/agentsview/myrepo/.aider.chat.history.md"}


@needs_given
def test_the_sample_has_three_runs_and_no_usage() -> None:
    seen = Parse("aider").file(SAMPLES / "aider/agentsview/myrepo/.aider.chat.history.md")
    assert (len(seen.sessions), len(seen.events)) == (3, 0)
    assert [row.kind for row in seen.messages.values()] == ["prompt", "answer"] * 2


@needs_given
async def test_the_corpus_gives_its_totals(tmp_path: Path) -> None:
    expected = json.loads((CORPORA / "expected.json").read_text(encoding="utf-8"))["aider/AFI-Protocol+afi-core"]
    totals = (await scanned(tmp_path, "aider", CORPORA / "aider/AFI-Protocol+afi-core")).totals()
    assert {
        "events": totals["events"],
        "sessions": totals["sessions"],
        "input_undivided": totals["input_undivided_tokens"],
        "output": totals["output_tokens"],
        "reported_cost_usd": float(totals["cost"]["usd"]),
    } == expected


def story(seed: int) -> list[bytes]:
    r, lines = random.Random(seed), []
    for number in range(4):
        said = []
        for _ in range(r.randrange(3)):
            both = f"> Tokens: {r.randrange(900)} sent, 5 cache write, 6 cache hit, {r.randrange(90)} received."
            said += message(line=r.choice([tokens(), both, ""])) + r.choice(
                [[], ["Cost: $0.01 message, $0.02 session."]]
            )
        lines += run(*said, started=f"2026-06-09 14:0{number % 2}:00", model=f"gpt-{r.randrange(3)}")
    return lines


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), cuts=st.sets(st.integers(1, 60)))
def test_a_history_cut_anywhere_says_the_same(seed: int, cuts: set[int]) -> None:
    lines = story(seed)
    whole = Parse("aider").lines(HISTORY, lines)
    assert (
        Parse("aider").lines(HISTORY, lines, {cut for cut in cuts if cut < len(lines)}).everything()
        == whole.everything()
    )
