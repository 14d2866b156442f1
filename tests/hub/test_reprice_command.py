"""`trueup hub reprice` as an operator runs it: an overrides file, a table, a dry run, a kill, a hub beside it."""

import asyncio
import json
import re
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from hub_process import running_hub
from ledgers import Ledger, add_host, event, event_key, put_events
from price_tables import everything, table, totals
from processes import TRUEUP, Result, environment, trueup
from trueup_hub.db import Database
from trueup_hub.ingest.verify import verify

PAGE = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return environment(tmp_path / "home", tmp_path / "data", TRUEUP_DATABASE_URL=database_url)


def reprice(env: Mapping[str, str], *args: str | Path) -> Result:
    return trueup("hub", "reprice", *args, env=dict(env))


async def test_prices_of_ones_own_are_tried_and_applied_as_the_page_shows(
    db: Database, env: dict[str, str], tmp_path: Path
) -> None:
    ledger = Ledger(db, await add_host(db, "ana"))
    for n in range(3):
        counters = {
            "input_tokens": 2_000_000,
            "cache_read_tokens": None,
            "cache_write_tokens": None,
            "output_tokens": 0,
        }
        ledger.put(
            event_key(n), event(n, context_tokens=None, model="claude-sonnet-4-5" if n else "gpt-5.1", **counters)
        )
    await ledger.push()
    own = tmp_path / "own.toml"
    own.write_text("[[model]]\nmatch = 'claude-sonnet-4-5*'\ninput = 1.6\n")
    env["TRUEUP_PRICE_OVERRIDES"] = str(own)
    stored = await everything(db)
    tried = reprice(env, "--dry-run")
    assert (tried.status, tried.err) == (0, "")
    assert {name: rows for name, rows in (await everything(db)).items() if name != "migrations"} == {
        name: rows for name, rows in stored.items() if name != "migrations"
    }
    done = reprice(env)
    assert (done.status, done.err) == (0, "")
    assert tried.out == done.out.replace(" are priced", " would be priced")
    [shown] = re.findall(r"^```\n(3 requests .*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert done.out == shown
    assert await verify(db) == {}
    own.write_text(
        "[[model]]\nmatch = 'claude-sonet*'\ninput = 1\n[[model]]\nmatch = 'gpt-5.1'\ninput = 1\n"
        "[aliases]\n'prod-*' = 'gpt-5.1'\n"
    )
    tried = reprice(env, "--dry-run")
    assert tried.out.endswith("  fits no model that was used: alias 'prod-*', [[model]] 1 ('claude-sonet*')\n")
    own.write_text("")
    document = reprice(env, "--json").json
    assert document["prices"]["fits_nothing"] == []
    assert document["after"]["cost_microusd"] == (await totals(db))[0] // 1000
    assert (document["events"], document["dry_run"], document["prices"]["own"]) == (3, False, 0)
    mistaken = tmp_path / "mistaken.toml"
    mistaken.write_text("[[model]]\nmatch = 'x'\nprice = 1\n")
    for command, path, words in (
        ("reprice", mistaken, "[[model]] 1 ('x'): there is no 'price'"),
        ("serve", tmp_path / "none", "No such file or directory"),
    ):
        env["TRUEUP_PRICE_OVERRIDES"] = str(path)
        wrong = trueup("hub", command, env=env)
        assert (wrong.status, wrong.out) == (2, "")
        assert wrong.err == f"trueup: setting 'price_overrides': {path}: {words}\n"


async def test_a_command_interrupted_or_killed_in_the_middle_leaves_right_totals_and_a_hub_goes_on(
    db: Database, database_url: str, env: dict[str, str], tmp_path: Path
) -> None:
    ledgers = [Ledger(db, await add_host(db, label)) for label in ("ana", "bob", "cid")]
    for number, ledger in enumerate(ledgers):
        put_events(ledger, range(number * 2_000, number * 2_000 + 2_000))
        await ledger.push()
    before = await totals(db)
    file = tmp_path / "prices.json"
    file.write_bytes(table(times=2).content)
    came = 0
    for ledger, number, status, said in (
        (ledgers[1], signal.SIGINT, 1, "trueup: interrupted: some requests have their new price; "),
        (ledgers[2], signal.SIGKILL, -signal.SIGKILL, ""),
    ):
        async with db.transaction() as connection:  # it does not come past this ledger, however late the signal comes
            await connection.execute("SELECT FROM ledgers WHERE host_no = $1 FOR UPDATE", ledger.host_no)
            command = await asyncio.create_subprocess_exec(
                *TRUEUP, "hub", "reprice", "--prices", file, env=env, stderr=asyncio.subprocess.PIPE
            )
            async with asyncio.timeout(60):
                while await db.fetchval("SELECT coalesce(sum(events), 0) FROM repricings") == came:
                    pass
            command.send_signal(number)
        _, errors = await command.communicate()
        assert (command.returncode, "Traceback" in errors.decode()) == (status, False)
        assert said in errors.decode()
        [job] = await db.fetch("SELECT events, ended_at FROM repricings")
        assert (came < job["events"] < 6_000, job["ended_at"]) == (True, None)
        came = job["events"]
        assert await verify(db) == {}
    async with running_hub(database_url, tmp_path / "hub"):
        put_events(ledger, range(6_000, 6_010))
        await ledger.push()
        async with asyncio.timeout(30):
            while await db.fetchval("SELECT ended_at FROM repricings") is None:
                pass
    [line] = [row[0] for row in await db.fetch("SELECT detail FROM audit WHERE action = 'prices.reprice'")]
    assert (line["outcome"], line["events"]) == ("done", 6_000)
    assert line["before"]["cost_microusd"] * 1000 == pytest.approx(before[0], abs=500)
    assert line["after"]["cost_microusd"] == pytest.approx(2 * line["before"]["cost_microusd"], abs=2)
    assert await db.fetchval("SELECT count(DISTINCT price_no) FROM events") == 1
    assert await verify(db) == {}


async def test_a_table_that_cannot_be_applied_is_one_line_and_nothing_happens(
    db: Database, env: dict[str, str], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.json"
    cut.write_text(json.dumps({"date": "2031-01-31"}))
    wrong = reprice(env, "--prices", cut)
    assert (wrong.status, wrong.out, wrong.err.count("\n")) == (1, "", 1)
    assert wrong.err.startswith(f"trueup: {cut}: not a price table of trueup: ")
    assert await db.fetchval("SELECT price_no FROM hub_state") is None
