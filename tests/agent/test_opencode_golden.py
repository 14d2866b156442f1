"""Keys are frozen: a release that derives another key for the same request would count it again."""

import json
from pathlib import Path
from typing import Any

import pytest

import opencode_store as store
from scanned import Scanned, scanned

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "opencode"
FIELDS = (
    "at", "time_quality", "provider", "model", "project_path", "input_tokens", "cache_read_tokens",
    "cache_write_tokens", "output_tokens", "reasoning_tokens", "context_tokens", "lower_bounds", "derived",
    "reported_cost", "reported_cost_unit", "reported_cost_status",
)  # fmt: skip


def rows(seen: Scanned) -> dict[str, Any]:
    names = {session.key: session.session_id for session in seen.sessions()}
    events = [
        {"key": event.key.hex(), "session": names[event.session_key], "identity": json.loads(event.identity)}
        | {name: getattr(event, name) for name in FIELDS}
        for event in seen.events()
    ]
    messages = [
        [
            m.key.hex(),
            names[m.session_key],
            m.at,
            m.role,
            m.kind,
            m.model,
            json.loads(m.tool_names or "[]"),
            m.size_chars,
        ]
        for m in seen.messages()
    ]
    sessions = [
        {"key": s.key.hex(), "id": s.session_id, "parent": names.get(s.parent_key or b""), "started_at": s.started_at}
        | {"relationship": s.relationship, "title": s.title, "version": s.harness_version}
        for s in seen.sessions()
    ]
    return {"sessions": sessions, "messages": messages, "events": events}


@pytest.mark.parametrize("form", ["database", "tree", "export"])
async def test_every_form_of_the_golden_sessions_gives_the_frozen_rows(tmp_path: Path, form: str) -> None:
    sessions = json.loads((GOLDEN / "sessions.json").read_text(encoding="utf-8"))
    home = tmp_path / "home"
    if form == "database":
        store.database(home / "opencode.db", *sessions)
    elif form == "tree":
        store.tree(home / "storage", *sessions)
    else:
        for entry in sessions:
            store.export(home / f"{entry['info']['id']}.json", entry)
    seen = await scanned(tmp_path, "opencode", home)
    assert rows(seen) == json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    assert len(seen.set_aside()) == 1
