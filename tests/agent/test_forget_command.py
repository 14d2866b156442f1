"""`trueup agent forget` as people meet it: what it asks, says and refuses, with and without a daemon."""

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent_process import Home, daemon, trueup, until
from claude_home import scan_home, session_id, write_logs
from claude_lines import MAIN, answer, prompt, usage
from hub_process import Hub
from processes import TRUEUP, Result
from pushing import events_at
from trueup_hub.enrolment import make_enroll_code

OTHER = session_id(7)


@pytest.fixture
async def ana(tmp_path: Path) -> Home:
    """Five answers of 10 tokens in one session, and two of 1000 in another project: one on 2 March, one on the 3rd."""
    home = Home(tmp_path / "ana")
    home.append(5)
    there = {"sessionId": OTHER, "cwd": "/srv/notes"}
    lines = [prompt(9, 900, **there)]
    for day, seconds in enumerate((10, 24 * 3600 - 9 * 3600 + 5)):
        lines.append(answer(seconds, 901 + day, 900 + day, 900 + day, usage=usage(1000), **there))
    lines = [line.replace(b"2026-03-02T24", b"2026-03-03T00") for line in lines]
    write_logs(home.home, {f".claude/projects/-srv-notes/{OTHER}.jsonl": b"".join(line + b"\n" for line in lines)})
    scanned, _ = await scan_home(home.home, home.data_dir)
    assert scanned.harnesses["claude"].events == 7
    return home


async def forget(home: Home, *args: str, **env: str) -> Result:
    return await trueup("agent", "forget", *args, env=home.env(**env))


async def outputs(home: Home, *by: str) -> Any:
    totals = await trueup("usage", "totals", "--json", *by, env=home.env())
    if by:
        return {row["key"]: row["totals"]["output_tokens"] for row in totals.json["rows"]}
    return totals.json["totals"]["output_tokens"]


async def test_a_dry_run_says_what_would_go_and_leaves_it(ana: Home) -> None:
    head, before = ana.head(), await outputs(ana)
    said = await forget(ana, "--session", OTHER, "--dry-run")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("would forget 1 sessions, 3 messages, 2 events (")
    assert "tokens, $" in said.out
    document = (await forget(ana, "--session", OTHER, "--dry-run", "--json")).json
    assert (document["sessions"], document["messages"], document["events"], document["set_aside"]) == (1, 3, 2, 0)
    assert document["total_tokens"] > 2000
    assert document["cost_microusd"] > 0
    assert (ana.head(), await outputs(ana)) == (head, before)


async def test_what_was_forgotten_leaves_the_reports_at_once_and_a_scan_does_not_bring_it_back(ana: Home) -> None:
    everything = await outputs(ana)
    done = await forget(ana, "--project", "notes", "--yes", "--json")
    assert (done.status, done.json["events"], done.json["file_rewritten"]) == (0, 2, True)
    assert await outputs(ana) == everything - 2000
    assert await outputs(ana, "--by", "session") == {MAIN: everything - 2000}
    (ana.home / ".claude/projects/-srv-notes").rename(ana.home / ".claude/projects/-moved")
    ana.append()
    await trueup("agent", "scan", env=ana.env())
    assert await outputs(ana, "--by", "project") == {"shop": (everything - 2000) // 5 * 6}
    again = await forget(ana, "--session", OTHER, "--yes")
    assert (again.status, again.out) == (0, "forgot nothing: there is none of it in the ledger\n")


@pytest.mark.parametrize("zone, left", [("UTC", 1), ("Asia/Tokyo", 2), ("America/Los_Angeles", 0)])
async def test_a_day_begins_where_this_machine_is(ana: Home, zone: str, left: int) -> None:
    """The one answer is of midnight and five seconds, the other of the morning before, UTC."""
    day = {"Asia/Tokyo": "2026-03-02"}.get(zone, "2026-03-03")
    done = await forget(ana, "--before", day, "--yes", TZ=zone)
    assert done.status == 0
    assert (await outputs(ana, "--by", "session")).get(OTHER) == (1000 * left or None)


NONSENSE: list[tuple[tuple[str, ...], int, str]] = [
    ((), 2, "give one of --session ID, --project NAME_OR_PATH and --before DATE"),
    (("--session", "a", "--project", "b"), 2, "give one of"),
    (("--before", "yesterday"), 2, "--before yesterday: no such date; write it as YYYY-MM-DD"),
    (("--before", "2026-02-30"), 2, "no such date"),
    (("--session", "nope"), 1, "there is no session nope in the ledger"),
    (("--project", "nope"), 1, "there is no project nope in the ledger"),
    (("--project", "shop", "--harness", "codex"), 1, "there is no project shop of codex in the ledger"),
    (("--project", "shop", "--harness", "nope"), 2, "--harness nope: no such harness"),
    (("--project", "shop"), 2, "give --yes where nobody can be asked"),
]


async def test_what_makes_no_sense_is_one_line(ana: Home) -> None:
    head = ana.head()
    for args, status, says in NONSENSE:
        said = await forget(ana, *args)
        assert (said.status, said.out, said.err.count("\n")) == (status, "", 1), args
        assert says.lower() in said.err.lower()
    assert ana.head() == head


async def test_a_machine_that_has_no_ledger_has_nothing_to_forget(tmp_path: Path) -> None:
    said = await forget(Home(tmp_path), "--before", "2026-01-01", "--yes")
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "run `trueup agent scan` first" in said.err


@pytest.mark.parametrize("word, status", [("n", 1), ("y", 0)])
async def test_it_asks_on_a_terminal_with_the_counts(ana: Home, word: str, status: int) -> None:
    head = ana.head()
    asked, said = _on_a_terminal(ana, word)
    assert asked == status
    assert "forget 1 sessions, 3 messages, 2 events (" in said
    assert ("nothing was forgotten" in said) is (word == "n")
    assert (ana.head() == head) is (word == "n")


def _on_a_terminal(home: Home, word: str) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{word}\n".encode())
        done = subprocess.run(
            [*TRUEUP, "agent", "forget", "--project", "/srv/notes"],
            env=home.env(),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stdout + done.stderr


async def test_in_a_daemon_it_is_the_same_and_the_hub_forgets_at_once(hub: Hub, ana: Home) -> None:
    env = {"TRUEUP_HUB_URL": hub.url, "TRUEUP_ENROLL_CODE": await make_enroll_code(hub.auth.db)}
    here = await forget(ana, "--project", "notes", "--dry-run", "--json")
    async with daemon(ana, **env):

        async def counts(events: int) -> bool:
            return await events_at(hub) == events

        await until(lambda: counts(7), "everything at the hub")
        there = await forget(ana, "--project", "notes", "--yes", "--json")
        assert there.status == 0
        assert there.json == here.json | {"file_rewritten": there.json["file_rewritten"]}
        await until(lambda: counts(5), "the hub without it", seconds=5)
        unknown = await forget(ana, "--session", "nope", "--yes")
        assert (unknown.status, unknown.err.count("\n")) == (1, 1)
        ana.append()
        await until(lambda: counts(6), "what is new")
        status = await trueup("pg", "status", "--json", env=ana.env())
        assert status.json["verdict"] == "converged"
    alone = await forget(ana, "--session", MAIN, "--yes")
    assert alone.out.endswith(
        "the hub forgets it with the next push: a running agent's at once, else `trueup pg push`\n"
    )
