"""What agents say of themselves is shown to administrators, never to their terminal."""

from hub_client import API, HubClient, bearer
from trueup_hub.cli.hub import host_rows
from trueup_hub.cli.loading import table
from trueup_hub.hosts import list_hosts

WORDS = "\x1b[2J\x1b]0;owned\x07 all is well\nhost  converged\u202e"


async def test_an_agents_words_cannot_move_the_cursor_or_make_lines(hub: HubClient) -> None:
    enrolled = await hub.host()
    agent = {"version": WORDS[:20], "features": []}
    said = {"ledger_id": "6457c615-38f3-43bc-a4ae-fdc57da7af91", "head_seq": 0, "rows": 0, "pending": 0, "sent_at": 0}
    heartbeat = said | {"agent": agent, "last_error": WORDS, "withheld": [WORDS], "drift_suspected": [WORDS]}
    answer = await hub.http.post(f"{API}/heartbeat", json=heartbeat, headers=bearer(enrolled.credential))
    assert answer.status == 200, await answer.text()
    async with hub.db.connection() as connection:
        [report] = await list_hosts(connection)
    rows = host_rows(report)
    assert any(WORDS in str(cell) for row in rows for cell in row)
    lines = table(rows, ("HOST", "LABEL", "LAST SEEN", "STATE", "WHY")).split("\n")
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)
