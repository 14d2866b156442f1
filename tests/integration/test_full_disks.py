"""A disk that is full, or fails, on either side costs a delay and one line. The limit on file sizes is the fault."""

import json
import resource
import subprocess
from pathlib import Path

import pytest

from agent_process import Home, trueup
from hub_process import running_hub
from processes import TRUEUP
from pushing import events_at
from trueup_agent.ledger import LedgerReader
from trueup_hub.enrolment import make_enroll_code


def scan_with_files_of_at_most(home: Home, size: int) -> subprocess.CompletedProcess[str]:
    """Whatever would grow a file beyond `size` fails, as on a disk with no space left."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    command = [*TRUEUP, "agent", "scan"]
    return subprocess.run(
        command, env=home.env(), capture_output=True, text=True, timeout=60, preexec_fn=limit, stdin=subprocess.DEVNULL
    )


async def test_a_ledger_whose_disk_fails_says_so_and_loses_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.append(5)
    assert (await trueup("agent", "scan", env=home.env())).status == 0
    seq, _ = home.head()
    home.append(400)
    for size in ((home.data_dir / "ledger.db").stat().st_size + 8192, 65_536, 200_000):
        failed = scan_with_files_of_at_most(home, size)
        assert failed.returncode == 1, failed.stdout
        assert len(failed.stderr.splitlines()) == 1 and "ledger.db" in failed.stderr, failed.stderr
        with LedgerReader(home.data_dir) as reader:
            assert reader.query("PRAGMA integrity_check") == [("ok",)]
            assert reader.head()[0] >= seq
    scanned = await trueup("agent", "scan", "--json", env=home.env())
    assert (scanned.status, json.loads(scanned.out)["harnesses"]["claude"]["events"]) == (0, 405)


FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END$$;
CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION full_disk();
"""


@pytest.mark.parametrize("table", ["events", "session_slots"])
async def test_a_hub_whose_disk_is_full_takes_nothing_and_loses_nothing(
    tmp_path: Path, database_url: str, table: str
) -> None:
    home = Home(tmp_path)
    async with running_hub(database_url, tmp_path / "hub") as hub:
        code = await make_enroll_code(hub.auth.db)
        assert (await trueup("agent", "enroll", hub.url, "--code", code, env=home.env())).status == 0
        home.append(50)
        assert (await trueup("agent", "run", "--once", env=home.env())).status == 0
        await hub.auth.db.execute(FULL.format(table=table))
        home.append(400)
        failed = await trueup("agent", "run", "--once", env=home.env(), seconds=100)
        assert failed.status == 4, failed
        assert failed.err.splitlines()[0].endswith("no room left: could not extend file: No space left on device.")
        assert len(failed.err.splitlines()) == 1
        await hub.auth.db.execute("DROP FUNCTION full_disk CASCADE")
        pushed = await trueup("pg", "push", "--json", env=home.env())
        assert (pushed.status, pushed.json["verdict"], pushed.json["rejected"]) == (0, "converged", 0), pushed.err
        assert await events_at(hub) == home.answers
