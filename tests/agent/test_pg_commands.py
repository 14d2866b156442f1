"""`trueup pg` as people and scripts meet it: what it prints, its documents, its exit status."""

import asyncio
from pathlib import Path

import pytest

from agent_process import Home, daemon, trueup, until
from damaged import alter, database_of, lose, stored
from hub_process import Hub
from processes import Result, free_port
from trueup_hub.enrolment import make_enroll_code
from trueup_shared import keys

PUSH = {"host_id", "ledger_id", "generation", "inserted", "updated", "unchanged", "removed", "rejected", "bytes_sent"}
PUSH |= {"acked_seq", "ledger_digest", "hub_digest", "verdict"}
VERIFY = {"verdict", "buckets_differing", "only_here", "only_hub", "different"}


@pytest.fixture
async def ana(hub: Hub, tmp_path: Path) -> Home:
    """Enrolled, with thirty answers in a log, at the hub."""
    home = Home(tmp_path / "ana")
    home.append(30)
    code = await make_enroll_code(hub.auth.db)
    for command in (["agent", "enroll", hub.url, "--code", code], ["agent", "run", "--once"]):
        done = await trueup(*command, env=home.env())
        assert done.status == 0, done.err
    return home


async def pg(home: Home, *args: str) -> Result:
    return await trueup("pg", *args, env=home.env())


def is_one_line(done: Result, status: int, says: str) -> bool:
    lines = [line for line in done.err.splitlines() if line.startswith("trueup: ")]
    assert (done.status, len(lines)) == (status, 1), done.err
    assert says in lines[0]
    return True


async def damage(hub: Hub) -> tuple[bytes, bytes]:
    """A lost event and an altered message."""
    db = database_of(hub)
    rows = await stored(db)
    lost, altered = (next(place for place in rows if place[0] == table) for table in (keys.EVENTS, keys.MESSAGES))
    await lose(db, lost)
    await alter(db, altered)
    return lost[1], altered[1]


async def test_verify_names_what_a_full_push_then_mends(hub: Hub, ana: Home) -> None:
    lost, altered = await damage(hub)
    found = await pg(ana, "verify", "--deep", "--json")
    assert (found.status, found.json.keys() >= VERIFY) == (3, True)
    assert (found.json["only_here"], found.json["different"]) == ([lost.hex()], [altered.hex()])
    words = await pg(ana, "verify", "--deep")
    assert is_one_line(words, 3, "pg push --full")
    session = "session 5e551000-0000-4000-8000-0000000000aa of claude"
    assert f"only here    event {lost.hex()}, {session}" in words.out
    assert f"different    message {altered.hex()}, {session}" in words.out
    assert "differs  1 of 256 buckets: 1 rows only here, 0 only at the hub, 1 different" in words.out

    full = await pg(ana, "push", "--full")
    assert full.status == 0, full.err
    lines = full.out.splitlines()
    assert lines[0] == "read 1 logs again: 0 rows new in the ledger, 0 restated, 0 withdrawn"
    assert lines[1].endswith("1 inserted, 1 updated, 89 unchanged, 0 removed")
    assert lines[-3].split() == ["ledger", lines[-2].split()[1]]
    assert lines[-1] == "converged"
    assert [line for line in full.err.splitlines() if "Checking the ledger" in line]  # plain lines: no terminal

    again = await pg(ana, "push", "--full", "--json")
    assert again.json.keys() >= PUSH
    assert [again.json[name] for name in ("inserted", "updated", "unchanged", "removed", "generation")] == [
        0,
        0,
        91,
        0,
        2,
    ]
    clean = await pg(ana, "verify", "--deep", "--json")
    assert (clean.status, clean.json["verdict"], clean.json["rows"]) == (0, "converged", [])


async def test_status_tells_where_both_sides_stand(hub: Hub, ana: Home) -> None:
    status = (await pg(ana, "status", "--json")).json
    assert (status["rows"], status["pending"], status["rejected"], status["generation"]) == (91, 0, 0, 0)
    assert (status["last_receipt"]["kind"], status["verdict"], status["withheld"]) == ("ordinary", "converged", [])
    assert status["ledger_digest"] == status["hub_digest"]
    ana.append()
    await trueup("agent", "scan", env=ana.env())
    behind = await pg(ana, "status")
    assert is_one_line(behind, 3, "push again")
    assert ", 3 pending" in behind.out
    would = await pg(ana, "push", "--full", "--dry-run")
    assert (would.status, "send 94 rows" in would.out) == (0, True)
    assert is_one_line(await pg(ana, "verify"), 3, "push again")


async def test_a_running_agent_carries_it_out_and_is_verified_beside_it(hub: Hub, ana: Home) -> None:
    async with daemon(ana) as running:
        await damage(hub)
        full, verified = await asyncio.gather(pg(ana, "push", "--full", "--json"), pg(ana, "verify", "--json"))
        assert (full.status, full.json["inserted"], full.json["updated"]) == (0, 1, 1)
        assert verified.status in (0, 3)  # as it came before or after the commit
        assert (await pg(ana, "verify", "--deep")).status == 0
        ana.append()

        async def is_there() -> bool:
            return bool((await pg(ana, "status", "--json")).json["head_seq"] > full.json["acked_seq"])

        await until(is_there, "what was appended since")
        status, log = await running.stop()
        assert status == 0, log


async def test_what_stands_in_the_way_is_told_in_one_line(hub: Hub, ana: Home) -> None:
    host = ana.data_dir / "host.json"
    text = host.read_text()
    commands = [("push", "--full"), ("verify", "--deep")]
    host.write_text(text.replace(hub.url, f"http://127.0.0.1:{free_port()}"))
    for command in commands:
        assert is_one_line(await pg(ana, *command), 4, "cannot be reached")
    host.write_text(text.replace('"ledger_id":"', '"ledger_id":"f'))
    for command in (("status",), ("verify",)):  # named at the hub it would look like a second machine
        assert is_one_line(await pg(ana, *command), 1, "run `trueup pg push` first")
    host.unlink()
    for command in commands:
        assert is_one_line(await pg(ana, *command), 1, "not enrolled at a hub")
