"""Nothing that was said, and no path, leaves a machine as it comes; every row at the hub says where it is from."""

import json
from pathlib import Path

from agent_process import Home, daemon, trueup, until
from claude_lines import answer, line, prompt, tool_result, tool_use
from codex_lines import count, meta, turn
from codex_lines import line as codex_line
from hub_process import running_hub
from trueup_hub.db import Database
from trueup_hub.enrolment import make_enroll_code

SAID = "xyzzyplugh"
ROLLOUT = "rollout-2026-05-04T08-00-00-019e0000-0000-7000-8000-00000000000a.jsonl"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"


def logs(home: Path) -> None:
    """Every place of a log that holds text of people, models or tools, or a path, has the word in it."""
    cwd, usage = f"/home/{SAID}/shop", {"input_tokens": 900, "output_tokens": 40, "total_tokens": 940}
    tool = tool_use("toolu_1", "Edit") | {"input": {"file_path": f"/{SAID}.py", "new_string": SAID}}
    claude = [
        prompt(1, 1, f"why {SAID}?", cwd=cwd),
        answer(2, 2, 1, 1, content=[{"type": "thinking", "thinking": SAID}, {"type": "text", "text": SAID}], cwd=cwd),
        answer(3, 3, 2, 2, content=[tool], cwd=cwd),
        tool_result(4, 4, SAID),
        line(5, "system", 5, subtype="informational", content=SAID),
        json.dumps({"type": "summary", "summary": SAID, "leafUuid": "x"}).encode(),
        json.dumps({"type": SAID}).encode(),
        f"no JSON {SAID}".encode(),
    ]
    codex = [
        meta(0, cwd=cwd, git={"branch": "main", "repository_url": f"https://example/{SAID}"}, instructions=SAID),
        turn(1),
        codex_line(2, "event_msg", {"type": "user_message", "message": SAID}),
        codex_line(3, "response_item", {"type": "message", "role": "assistant", "content": [{"text": SAID}]}),
        codex_line(4, "response_item", {"type": "function_call", "name": "shell", "arguments": SAID}),
        codex_line(5, "event_msg", {"type": "thread_name_updated", "thread_name": SAID}),
        count(6, usage, usage),
    ]
    for path, lines in (
        (home / f".claude/projects/-{SAID}/5e551000-0000-4000-8000-0000000000aa.jsonl", claude),
        (
            home / ".codex/sessions/2026/05/04/rollout-2026-05-04T08-00-00-019e0000-0000-7000-8000-00000000000a.jsonl",
            codex,
        ),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(one + b"\n" for one in lines))


async def test_no_word_and_no_path_reaches_the_hub_in_batches_or_heartbeats(database_url: str, tmp_path: Path) -> None:
    ana = Home(tmp_path / SAID)
    logs(ana.home)
    async with running_hub(database_url, tmp_path / "hub") as hub:
        code = await make_enroll_code(hub.auth.db)
        assert (await trueup("agent", "enroll", hub.url, "--code", code, "--label", "ana", env=ana.env())).status == 0
        async with daemon(ana, TRUEUP_HEARTBEAT_SECONDS="1") as running:
            await until(lambda: complete(hub.auth.db), "batches and a heartbeat have come")
            await running.stop()
        assert await holding(hub.auth.db, "Edit") == ["terms"]  # the search finds what is there
        assert await holding(hub.auth.db, SAID) == []
        for table in ("sessions", "messages", "events"):
            rows = await hub.auth.db.fetch(
                "SELECT f.source_key, f.data_version, b.agent_version, l.generation"
                f" FROM {table} f LEFT JOIN batches b USING (host_no, ledger_no, batch_no)"
                " LEFT JOIN ledgers l USING (host_no, ledger_no)"
            )
            assert rows
            assert not [row for row in rows if any(value is None for value in row)], table


async def complete(db: Database) -> bool:
    """The two requests and both kinds of source."""
    return await db.fetchval("SELECT (SELECT count(*) FROM events) >= 3 AND (SELECT count(*) FROM sources) = 2")


async def holding(db: Database, word: str) -> list[str]:
    """Tables of the hub in which a word stands, as text or in bytes."""
    found = []
    for (table,) in await db.fetch(TABLES + " ORDER BY 1"):
        rows = f"SELECT count(*) FROM {table} t WHERE t::text ILIKE $1 OR t::text ILIKE $2"
        if await db.fetchval(rows, f"%{word}%", f"%{word.encode().hex()}%"):
            found.append(table)
    return found
