"""What the hub hears between batches."""

import shutil
from pathlib import Path
from typing import Any

from agent_process import Home, daemon, until
from golden_homes import golden_home
from hub_process import Hub
from trueup_hub.enrolment import make_enroll_code


async def one_host(hub: Hub) -> dict[str, Any] | None:
    """None until it has enrolled."""
    for listed in (await hub.get("hosts"))["hosts"]:
        host: dict[str, Any] = await hub.get(f"hosts/{listed['host_id']}")
        return host
    return None


async def test_the_hub_hears_of_sources_skipped_lines_and_position_but_of_no_path(hub: Hub, tmp_path: Path) -> None:
    ana = Home(tmp_path / "ana")
    ana.append(3)
    with ana.log.open("ab") as log:
        log.write(b'{"torn": \n')
    shutil.copytree(golden_home("goose", tmp_path), ana.home, dirs_exist_ok=True)
    database = next(ana.home.rglob("sessions.db"))
    env = {
        "TRUEUP_HUB_URL": hub.url,
        "TRUEUP_ENROLL_CODE": await make_enroll_code(hub.auth.db),
        "TRUEUP_HEARTBEAT_SECONDS": "1",
        "TRUEUP_LABEL": "ana's laptop",
    }
    async with daemon(ana, **env):

        async def heard() -> bool:
            host = await one_host(hub)
            return bool(host and host["ledgers"] and host["ledgers"][0]["skipped_lines"] == 1)

        await until(heard, "a heartbeat after the first scan")
        host = await one_host(hub)
    assert host is not None
    assert host["label"] == "ana's laptop"
    assert host["state"] == "converged"
    [ledger] = host["ledgers"]
    assert (ledger["head_seq"], ledger["pending"], ledger["last_error"]) == (ana.head()[0], 0, None)
    assert ledger["agent_version"]
    source, read_whole = sorted(host["sources"], key=lambda source: source["harness"])
    assert (read_whole["harness"], read_whole["bytes_read"]) == ("goose", database.stat().st_size)
    assert (source["harness"], source["state"], source["skipped_lines"]) == ("claude", "present", 1)
    assert source["bytes_read"] == ana.log.stat().st_size
    assert source["path"] is None
