"""Sessions of Cline's CLI and SDK (formats/cline.md, Tokens: SDK sessions; Dedup; Identity and linkage)."""

import json
from pathlib import Path
from typing import Any

import pytest

from given import SAMPLES, needs_given
from scanned import Scanned, scanned
from task_files import NOON
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from trueup_shared import keys

SESSIONS = ".cline/data/sessions"
SAMPLE = SAMPLES / "cline" / "cline-sdk" / "session"


def answer(
    id_: str, seconds: float, prompt: int | None, out: int = 10, reads: int = 0, **fields: Any
) -> dict[str, Any]:
    metrics = {"inputTokens": prompt, "outputTokens": out, "cacheReadTokens": reads, "cacheWriteTokens": 0, "cost": 0.5}
    return {
        "id": id_,
        "role": "assistant",
        "content": [{"type": "text", "text": "ok"}, {"type": "tool_use", "id": "t", "name": "editor", "input": {}}],
        "ts": NOON + round(seconds * 1000),
        "modelInfo": {"id": "anthropic/claude-opus-4.8", "provider": "cline"},
        **({} if prompt is None else {"metrics": metrics}),
        **fields,
    }


PROMPT = {"id": "msg_1", "role": "user", "content": [{"type": "text", "text": "fix it"}], "ts": NOON}


def write_session(home: Path, id_: str, messages: list[Any], stem: str | None = None, **manifest: Any) -> Path:
    folder = home / SESSIONS / id_
    folder.mkdir(parents=True, exist_ok=True)
    session_id = id_ if stem is None else f"{id_}__{stem}"
    document = {"version": 1, "updated_at": "2026-07-01T09:00:00Z", "sessionId": session_id, "messages": messages}
    (folder / f"{stem or id_}.messages.json").write_text(json.dumps(document), encoding="utf-8")
    if stem is None:
        told = {"version": 1, "session_id": id_, "started_at": "2026-07-01T08:00:00Z", "cwd": "/home/ana/shop"}
        (folder / f"{id_}.json").write_text(json.dumps(told | manifest), encoding="utf-8")
    return folder


async def scan_home(tmp_path: Path) -> Scanned:
    return await scanned(tmp_path, "cline", tmp_path / "home", home=True)


async def test_input_is_the_prompt_without_what_came_from_the_cache(tmp_path: Path) -> None:
    write_session(tmp_path / "home", "s1", [PROMPT, answer("a", 5, 1000, 20, reads=900)])
    seen = await scan_home(tmp_path)
    [event] = seen.events()
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens) == (100, 900, 20)
    assert (event.context_tokens, event.cache_write_tokens) == (1000, 0)
    assert (event.provider, event.model) == ("cline", "anthropic/claude-opus-4.8")
    assert (event.reported_cost, event.reported_cost_status, event.project_path) == (
        "0.5",
        "reported",
        "/home/ana/shop",
    )
    assert [(m.role, m.kind, m.tool_names) for m in seen.messages()] == [
        ("user", "prompt", None), ("assistant", "answer", '["editor"]'),
    ]  # fmt: skip


async def test_more_from_the_cache_than_the_prompt_had_is_a_contradiction_and_input_unknown(tmp_path: Path) -> None:
    write_session(tmp_path / "home", "s1", [answer("a", 5, 10, 20, reads=900)])
    seen = await scan_home(tmp_path)
    assert [(e.input_tokens, e.cache_read_tokens, e.output_tokens) for e in seen.events()] == [(None, 900, 20)]
    assert seen.totals()["skipped"] == {"contradictory_usage": 1}


async def test_a_fork_copies_messages_and_its_parent_keeps_them(tmp_path: Path) -> None:
    shared = [PROMPT, answer("a", 5, 1000), answer("b", 6, 2000)]
    write_session(tmp_path / "home", "s1", shared)
    fork = {"metadata": {"fork": {"forkedFromSessionId": "s1"}}, "started_at": "2026-07-01T08:30:00Z"}
    write_session(tmp_path / "home", "s2", [*shared, answer("c", 1900, 3000)], **fork)
    seen = await scan_home(tmp_path)
    assert (seen.totals()["events"], seen.totals()["input_tokens"], seen.totals()["messages"]) == (3, 6000, 4)
    first, second = keys.session_key("cline", "s1"), keys.session_key("cline", "s2")
    assert [event.session_key for event in seen.events()] == [first, first, second]
    sessions = {session.session_id: session for session in seen.sessions()}
    assert (sessions["s2"].parent_key, sessions["s2"].relationship) == (first, "fork")
    assert sessions["s2"].started_at == (NOON + 1_800_000) * 1000


async def test_equal_ids_with_other_metrics_are_other_requests(tmp_path: Path) -> None:
    write_session(tmp_path / "home", "s1", [answer("msg_assistant_1", 5, 1000)])
    write_session(tmp_path / "home", "s2", [answer("msg_assistant_1", 5, 1001)])
    assert (await scan_home(tmp_path)).totals()["input_tokens"] == 2001


async def test_a_subagent_is_a_session_of_its_own_below_its_parent(tmp_path: Path) -> None:
    write_session(tmp_path / "home", "s1", [answer("a", 5, 1000)])
    write_session(tmp_path / "home", "s1", [answer("x", 6, 50)], stem="agent_1")
    seen = await scan_home(tmp_path)
    assert seen.totals()["input_tokens"] == 1050
    child = next(s for s in seen.sessions() if s.session_id == "s1__agent_1")
    assert (child.parent_key, child.relationship) == (keys.session_key("cline", "s1"), "subagent")
    assert child.project_path == "/home/ana/shop"


async def test_the_sums_of_a_manifest_are_not_used_where_messages_have_metrics(tmp_path: Path) -> None:
    sums = {"usage": {"inputTokens": 99_999, "outputTokens": 9}, "aggregateUsage": {"inputTokens": 999_999}}
    write_session(tmp_path / "home", "s1", [answer("a", 5, 1000)], metadata=sums)
    assert (await scan_home(tmp_path)).totals()["input_tokens"] == 1000


async def test_a_session_that_gains_metrics_after_it_was_seen_with_its_sum_counts_once(tmp_path: Path) -> None:
    sums = {"usage": {"inputTokens": 1000, "outputTokens": 20}}
    write_session(tmp_path / "home", "s1", [answer("a", 5, None)], metadata=sums)
    seen = await scan_home(tmp_path)
    assert seen.totals()["events"] == 1
    write_session(tmp_path / "home", "s1", [answer("a", 5, 1000)], metadata=sums)
    await seen.scan()
    clean = await scanned(tmp_path / "clean", "cline", tmp_path / "home")
    assert (seen.totals()["events"], seen.totals()["input_tokens"]) == (1, 1000)
    assert [event.key for event in seen.events()] == [event.key for event in clean.events()]


async def test_a_session_without_metrics_counts_by_its_running_sum(tmp_path: Path) -> None:
    def metadata(prompt: int, out: int, reads: int, cost: float) -> dict[str, Any]:
        usage = {"inputTokens": prompt, "outputTokens": out, "cacheReadTokens": reads, "cacheWriteTokens": 0}
        return {"usage": usage | {"totalCost": cost}, "aggregateUsage": {"inputTokens": 10**9}}

    first, second = answer("a", 5, None), answer("b", 60, None)
    write_session(tmp_path / "home", "s1", [PROMPT, first], metadata=metadata(1000, 20, 900, 0.25))
    seen = await scan_home(tmp_path)
    [event] = seen.events()
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens) == (100, 900, 20)
    assert event.derived and event.context_tokens is None
    write_session(tmp_path / "home", "s1", [PROMPT, first, second], metadata=metadata(3000, 50, 2500, 0.75))
    await seen.scan()
    totals = seen.totals()
    assert (totals["input_tokens"], totals["cache_read_tokens"], totals["output_tokens"]) == (500, 2500, 50)
    assert (totals["events"], float(totals["cost"]["usd"])) == (2, 0.75)
    await seen.scan()
    assert seen.totals() == totals


async def test_a_manifest_that_points_elsewhere_is_read_beside_its_messages(tmp_path: Path) -> None:
    stale = "/Users/gone/.cline/data/sessions/other/other.messages.json"
    write_session(
        tmp_path / "home", "s1", [answer("a", 5, 1000)], messages_path=stale, metadata={"messagesPath": stale}
    )
    assert (await scan_home(tmp_path)).totals()["input_tokens"] == 1000


async def test_compacted_copies_of_the_messages_are_not_read(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "home", "s1", [answer("a", 5, 1000)])
    (folder / "s1.compaction.json").write_text(json.dumps({"messages": [answer("z", 9, 777)]}), encoding="utf-8")
    assert (await scan_home(tmp_path)).totals()["input_tokens"] == 1000


async def test_zeros_only_and_missing_metrics_are_unknown(tmp_path: Path) -> None:
    zero = answer("z", 6, 0, 0)
    write_session(tmp_path / "home", "s1", [PROMPT, answer("a", 5, None), zero])
    totals = (await scan_home(tmp_path)).totals()
    assert (totals["events"], totals["messages"], totals["input_tokens"]) == (0, 3, None)


@needs_given
async def test_the_recorded_session_gives_the_expected_figures(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "cline", SAMPLE / "session.messages.json")
    totals = seen.totals()
    assert totals["events"] == 16
    assert totals["input_tokens"] == 95_819 and totals["cache_read_tokens"] == 534_435
    assert totals["output_tokens"] == 4_395 and totals["cache_write_tokens"] == 0
    assert totals["reasoning_tokens"] is None
    assert abs(float(totals["cost"]["usd"]) - 2.036022565) < 1e-12
    assert totals["skipped"] == totals["unknown"] == {}
    assert [session.relationship for session in seen.sessions()] == ["fork"]


@needs_given
@pytest.mark.parametrize(
    ("field", "counter", "left"),
    [("outputTokens", "output_tokens", 4_395 - 741), ("inputTokens", "input_tokens", 95_819 - 34_334)],
)
async def test_a_counter_that_is_missing_once_is_unknown_once(
    tmp_path: Path, field: str, counter: str, left: int
) -> None:
    document = json.loads((SAMPLE / "session.messages.json").read_text(encoding="utf-8"))
    del next(m for m in document["messages"] if "metrics" in m)["metrics"][field]
    (tmp_path / "x.messages.json").write_text(json.dumps(document), encoding="utf-8")
    seen = await scanned(tmp_path, "cline", tmp_path / "x.messages.json")
    assert seen.totals()["events"] == 16 and seen.totals()[counter] == left
    assert sum(1 for event in seen.events() if getattr(event, counter) is None) == 1


def test_usage_is_derived_again_from_what_is_stored() -> None:
    facts = Facts(provider=None, model=None, identity="[]", usage=Usage())
    raw = b'{"inputTokens":100,"outputTokens":5,"cacheReadTokens":60,"cacheWriteTokens":0,"cost":1}'
    found = HARNESSES["cline"].usage(raw, facts)
    assert found is not None
    assert (found.input_tokens, found.cache_read_tokens, found.context_tokens) == (40, 60, 100)
    task = HARNESSES["cline"].usage(b'{"tokensIn":14,"tokensOut":230,"cacheReads":8800,"cacheWrites":1900}', facts)
    assert task is not None and (task.input_tokens, task.context_tokens) == (14, 10_714)
    assert HARNESSES["cline"].usage(b"[", facts) is None
