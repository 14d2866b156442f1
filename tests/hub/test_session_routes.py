"""One session: its messages with what each used, and where its numbers come from."""

from typing import Any

import pytest

from hub_client import API, HubClient, problem
from population import Facts
from population_fleet import asked
from trueup_hub.analytics.messages import messages
from trueup_hub.analytics.session import session as session_of
from trueup_hub.analytics.session_usage import session_usage
from trueup_hub.analytics.sessions import list_sessions
from trueup_hub.params import COUNTED
from trueup_shared import keys
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT
from usage_data import event, machine, message, session, session_key

OPUS = {"provider": "anthropic", "model": "claude-opus-4-1"}
S1 = session_key("s1").hex()


async def ask(hub: HubClient, path: str, **query: Any) -> Any:
    response = await hub.http.get(f"{API}/sessions/{path}", params=query, headers=await hub.token())
    assert response.status == 200, await response.text()
    return await response.json()


async def pages(hub: HubClient, path: str, **query: Any) -> list[Any]:
    found, cursor = [], {}
    while True:
        page = await ask(hub, path, **query, **cursor)
        assert len(page["messages"]) <= query["limit"]
        found += page["messages"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.fixture
async def talked(hub: HubClient) -> HubClient:
    """A session of two requests that ana and bob have, one of them in two messages, and a request without a message."""
    answer = {
        "role": "assistant",
        "kind": "answer",
        "model": "claude-opus-4-1",
        "event_key": keys.event_key("claude", "e1"),
    }
    rows = (
        session("s1", "2026-11-03T09:00Z", project="alpha"),
        message("m1", "s1", "2026-11-03T09:00Z", size_chars=12),
        message("m2", "s1", "2026-11-03T09:01Z", **answer),
        message("m3", "s1", "2026-11-03T09:02Z", tool_names=["Bash", "Read"], **answer),
        event("e1", "s1", "2026-11-03T09:01Z", input_tokens=100, output_tokens=10, context_tokens=900,
              lower_bounds=BIT["output_tokens"], **OPUS),
        event("e2", "s1", "2026-11-03T09:05Z", input_tokens=1, output_tokens=2, flags=2, model="nobody-knows-1"),
    )  # fmt: skip
    ana, bob = await machine(hub.db, "ana"), await machine(hub.db, "bob")
    await ana.send(*rows)
    await bob.send(*rows)
    return hub


async def test_messages_carry_what_they_used_and_usage_without_a_message_is_listed(talked: HubClient) -> None:
    found = (await ask(talked, f"{S1}/messages"))["messages"]
    assert [(one["role"], one["size_chars"], one["tool_names"]) for one in found] == [
        ("user", 12, []),
        ("assistant", None, []),
        ("assistant", None, ["Bash", "Read"]),
        (None, None, []),
    ]
    assert [one["usage"] and one["usage"]["output_tokens"] for one in found] == [None, 10, None, 2]
    used = found[1]["usage"]
    assert found[1]["event_id"] == found[2]["event_id"] == used["event_id"]
    assert (used["context_tokens"], used["total_tokens"], used["cost_microusd"]) == (900, 110, 2250)
    assert (used["lower_bounds"], used["derived"], used["reasoning_tokens"]) == (["output_tokens"], [], None)
    assert (used["counted"], used["counts_at"], used["place"]["host"]["label"]) == (True, None, "ana")
    alone = found[3]
    assert (alone["id"], alone["usage"]["cost_microusd"], alone["usage"]["old_data"]) == (None, None, True)
    assert (alone["model"], alone["at"], used["time_quality"]) == ("nobody-knows-1", "2026-11-03T09:05:00Z", "record")


async def test_with_all_copies_those_that_are_set_aside_say_which_one_counts(talked: HubClient) -> None:
    found = await pages(talked, f"{S1}/messages", counted="all", limit=3)
    assert len(found) == 8
    used = [one["usage"] for one in found if one["usage"]]
    assert sorted((one["place"]["host"]["label"], one["counted"], one["output_tokens"]) for one in used) == [
        ("ana", True, 2), ("ana", True, 10), ("bob", False, 2), ("bob", False, 10),
    ]  # fmt: skip
    assert {one["counts_at"]["host"]["label"] for one in used if not one["counted"]} == {"ana"}


async def test_the_usage_of_a_session_says_where_it_comes_from_and_what_was_set_aside(talked: HubClient) -> None:
    found = await ask(talked, f"{S1}/usage")
    assert [(part["host"]["label"], part["model"], part["counted"], part["events"]) for part in found["parts"]] == [
        ("ana", "claude-opus-4-1", True, 1),
        ("ana", "nobody-knows-1", True, 1),
        ("bob", "claude-opus-4-1", False, 1),
        ("bob", "nobody-knows-1", False, 1),
    ]
    first, second, aside, _ = found["parts"]
    assert (aside["counts_at"]["host"]["label"], aside["conflicts"]) == ("ana", 0)
    assert (first["coverage"]["output_tokens"]["lower_bound"], first["peak_context_tokens"]) == (1, 900)
    assert (first["times"], first["old_data"], second["old_data"]) == ({"record": 1, "session": 0, "file": 0}, 0, 1)
    assert (len(first["prices"]), first["batches"], second["totals"]["cost_microusd"]) == (1, [1, 1], None)
    assert found["set_aside"]["events"] == 2
    assert found["set_aside"]["totals"]["output_tokens"] == 12
    copies = [(one["host"]["label"], one["chosen"], one["verdict"], one["events_set_aside"]) for one in found["copies"]]
    assert copies == [("ana", True, "converged", 0), ("bob", False, "converged", 2)]
    whole = await ask(talked, f"{S1}/usage", counted="all")
    assert (whole["totals"]["output_tokens"], whole["totals"]["messages"]) == (24, 6)


async def test_subagents_are_folded_in_with_their_share(talked: HubClient) -> None:
    carol = await machine(talked.db, "carol")
    for name, parent, relationship, tokens in (
        ("a", "s1", "subagent", 300),
        ("b", "a", "subagent", 87),
        ("c", "s1", "fork", 1000),
        ("d", "s1", "subagent", None),
    ):
        await carol.send(
            session(name, "2026-11-03T10:00Z", parent_key=session_key(parent), relationship=relationship),
            event(f"of {name}", name, "2026-11-03T10:00Z", input_tokens=tokens),
        )
    found = await ask(talked, f"{S1}/usage")
    assert [(one["session_id"], one["totals"]["total_tokens"], one["share"]) for one in found["subagents"]][:2] == [
        ("a", 300, 0.6),
        ("b", 87, 0.174),
    ]
    assert [(one["session_id"], one["share"]) for one in found["subagents"]][2:] == [("d", None)]
    assert (found["totals"]["total_tokens"], found["share"]) == (113, 0.226)
    assert (found["with_subagents"]["sessions"], found["with_subagents"]["totals"]["total_tokens"]) == (4, 500)
    assert len((await ask(talked, S1))["children"]) == 3  # the fork is one, though its usage is its own


async def test_sessions_that_name_each_other_as_parents_end(hub: HubClient) -> None:
    ana = await machine(hub.db, "ana")
    for name, parent in (("s1", "s2"), ("s2", "s1")):
        await ana.send(
            session(name, "2026-11-03T10:00Z", parent_key=session_key(parent), relationship="subagent"),
            event(f"of {name}", name, "2026-11-03T10:00Z", input_tokens=1),
        )
    found = await ask(hub, f"{S1}/usage")
    assert ([one["session_id"] for one in found["subagents"]], found["with_subagents"]["sessions"]) == (["s2"], 2)


async def test_lists_inside_of_a_session_end_and_say_how_many_there_are(hub: HubClient) -> None:
    ana, at = await machine(hub.db, "ana"), "2026-11-03T10:00Z"
    await ana.send(*(event(f"e{n}", "s1", at, input_tokens=n, model=f"model {n}") for n in range(501)))
    one, usage = await ask(hub, S1), await ask(hub, f"{S1}/usage")
    assert (len(one["by_model"]), one["models_total"], one["by_model"][0]["key"]) == (500, 501, "model 500")
    assert (len(usage["parts"]), usage["parts_total"], usage["parts"][0]["model"]) == (500, 501, "model 500")
    assert one["totals"]["input_tokens"] == usage["totals"]["input_tokens"] == sum(range(501))


@pytest.mark.parametrize("counted", COUNTED)
async def test_every_way_to_ask_for_a_session_has_the_same_totals(facts: Facts, counted: str) -> None:
    common = asked({"counted": counted})
    listed = (await list_sessions(facts.db, common, "total_tokens", "desc", 500, None)).sessions
    assert len(listed) > 20
    for item in listed[::3]:
        key = bytes.fromhex(item.id)
        one, usage = await session_of(facts.db, key, counted), await session_usage(facts.db, key, counted)
        for name in ("events", "coverage", "peak_context_tokens"):
            assert getattr(one, name) == getattr(usage, name) == getattr(item, name)
        assert one.totals == usage.totals == item.totals
        counting = [part for part in usage.parts if part.counted or counted == "all"]
        assert sum(part.events for part in counting) == item.events
        assert usage.set_aside.events == sum(copy.events_set_aside for copy in usage.copies)
        entries, cursor = [], None
        while True:
            page = await messages(facts.db, key, counted, 9, cursor)
            entries += page.messages
            if (cursor := page.next_cursor) is None:
                break
        used = [entry.usage for entry in entries if entry.usage]
        assert len(used) == item.events
        for name in (*ADDITIVE_COUNTERS, "total_tokens"):
            known = [value for one in used if (value := getattr(one, name)) is not None]
            assert (sum(known) if known else None) == getattr(item.totals, name), name
        said = [entry for entry in entries if entry.id and entry.at]
        assert (len(said), sum(len(entry.tool_names) for entry in said)) == (
            item.totals.messages,
            item.totals.tool_calls,
        )
        assert len({(entry.id or entry.event_id, entry.place) for entry in entries}) == len(entries)


async def test_what_is_not_there_is_not_found_and_a_cursor_of_another_list_is_refused(talked: HubClient) -> None:
    headers = await talked.token()
    for path in ("", "/messages", "/usage"):
        await problem(await talked.http.get(f"{API}/sessions/{'0' * 32}{path}", headers=headers), 404, "not_found")
    cursor = (await ask(talked, f"{S1}/messages", limit=1))["next_cursor"]
    for query in ({"cursor": cursor, "counted": "all"}, {"cursor": "x"}, {"limit": "1001"}, {"limit": "0"}):
        response = await talked.http.get(f"{API}/sessions/{S1}/messages", params=query, headers=headers)
        await problem(response, 400, "bad_parameter")


async def test_all_three_come_as_csv(talked: HubClient) -> None:
    headers = await talked.token() | {"Accept": "text/csv"}
    for path, lines in (("", 1), ("/messages", 4), ("/usage", 4)):
        text = await (await talked.http.get(f"{API}/sessions/{S1}{path}", headers=headers)).text()
        assert len([line for line in text.split("\r\n")[1:-1] if not line.startswith("# ")]) == lines
        assert "# counted: once\r\n" in text
