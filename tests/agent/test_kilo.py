"""Rules of formats/kilo.md. What it shares with OpenCode and with Roo Code is tested there."""

import json
from pathlib import Path
from typing import Any

import pytest

import opencode_store as store
from opencode_store import Json, answer, database, renamed, session, step, tokens, tool, tree, user
from scanned import Scanned, scanned
from trueup_agent.harnesses import HARNESSES

KILO = HARNESSES["kilo"]
HOME = ".local/share/kilo"
TASKS = ".config/Code/User/globalStorage/kilocode.kilo-code/tasks"
TASK_ID = "0b8f5b64-0000-4000-8000-000000000001"
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kilo"
USAGE, CHILD_USAGE = tokens(100, 50), tokens(10, 5)


async def seen(tmp_path: Path, *sessions: Json) -> Scanned:
    database(tmp_path / "home" / HOME / "kilo.db", *sessions)
    return await scanned(tmp_path, "kilo", tmp_path / "home", home=True)


def costs(found: Scanned) -> dict[str, str | None]:
    names = {row.key: row.session_id for row in found.sessions()}
    return {names[event.session_key]: event.reported_cost for event in found.events()}


def parent(*parts: Json, cost: float = 0.05) -> Json:
    return session("ses_1", user("msg_u"), answer("msg_a", 5, USAGE, *parts, cost=cost, lasts=60))


CHILD = session("ses_2", answer("msg_c", 9, CHILD_USAGE, cost=0.02), parentID="ses_1")
TASK = tool("task", metadata={"sessionId": "ses_2"})


@pytest.mark.parametrize(
    "parts",
    [
        (TASK, step(USAGE, 0.03)),  # a step never contains what its tasks cost
        (TASK,),
        (tool("task"),),
    ],
)
async def test_the_cost_of_a_task_is_taken_out_of_its_parents_and_tokens_are_all_counted(
    tmp_path: Path, parts: tuple[Json, ...]
) -> None:
    found = await seen(tmp_path, parent(*parts), CHILD)
    assert costs(found) == {"ses_1": "0.03", "ses_2": "0.02"}
    assert (found.totals()["input_tokens"], str(found.totals()["cost"]["usd"])) == (110, "0.05")


async def test_the_cost_of_a_grandchild_is_in_its_parents_and_taken_out_twice(tmp_path: Path) -> None:
    grandchild = session("ses_3", answer("msg_g", 12, tokens(1, 1), cost=0.015), parentID="ses_2")
    child = session(
        "ses_2",
        answer("msg_c", 9, CHILD_USAGE, tool("task", metadata={"sessionId": "ses_3"}), cost=0.02),
        parentID="ses_1",
    )
    found = await seen(tmp_path, parent(TASK), child, grandchild)
    assert costs(found) == {"ses_1": "0.03", "ses_2": "0.005", "ses_3": "0.015"}


@pytest.mark.parametrize("metadata", [{"sessionId": "ses_9"}, {"sessionId": "ses_2"}])
async def test_a_cost_whose_share_of_tasks_is_not_to_be_had_is_unknown(
    tmp_path: Path, metadata: dict[str, str]
) -> None:
    """The child is not there, or says that it cost more than its parent."""
    found = await seen(tmp_path, parent(tool("task", metadata=metadata), cost=0.01), CHILD)
    assert costs(found) == {"ses_1": None, "ses_2": "0.02"}


async def test_in_the_tree_a_message_with_tasks_and_without_steps_has_no_cost_of_its_own(tmp_path: Path) -> None:
    tree(tmp_path / "home" / HOME / "storage", parent(TASK), CHILD)
    found = await scanned(tmp_path, "kilo", tmp_path / "home", home=True)
    assert costs(found) == {"ses_1": None, "ses_2": "0.02"}


async def test_the_gateways_cost_is_reported_and_a_step_names_the_model_that_it_chose(tmp_path: Path) -> None:
    chosen = step(USAGE, 0.03, model={"providerID": "kilo", "modelID": "anthropic/claude-opus-4-6"})
    message = answer("msg_a", 5, USAGE, chosen, providerID="kilo", modelID="kilo-auto/frontier")
    (event,) = (await seen(tmp_path, session("ses_1", message))).events()
    assert (event.reported_cost, event.reported_cost_status) == ("0.03", "reported")
    assert (event.provider, event.model) == ("kilo", "anthropic/claude-opus-4-6")


async def test_a_fork_whose_costs_were_set_to_zero_is_still_a_fork(tmp_path: Path) -> None:
    original = session("ses_1", answer("msg_a", 5, USAGE, step(USAGE, 0.03), cost=0.03))
    fork = renamed(original, "ses_2", "f", 90)
    fork["messages"][0]["info"]["cost"] = fork["messages"][0]["parts"][0]["cost"] = 0
    found = await seen(tmp_path, fork, original)
    assert costs(found) == {"ses_1": "0.03"}


async def test_every_channel_is_read_and_so_is_what_the_first_builds_called_their_database(tmp_path: Path) -> None:
    for number, name in enumerate(("kilo.db", "kilo-dev.db", "opencode.db")):
        entry = session(f"ses_{number}", answer(f"msg_{number}", number, tokens(10**number, 1)))
        database(tmp_path / "home" / HOME / name, entry)
    database(tmp_path / "home/.local/share/opencode/opencode.db", session("ses_x", answer("msg_x", 1, USAGE)))
    found = await scanned(tmp_path, "kilo", tmp_path / "home", home=True)
    assert found.totals()["input_tokens"] == 111


@pytest.mark.parametrize(
    ("platform", "environ", "store_folders", "editor"),
    [
        ("linux", {}, [".local/share/kilo"], TASKS),
        ("linux", {"XDG_DATA_HOME": "{home}/x", "KILO_DATA_DIR": "/peer"}, ["x/kilo"], TASKS),
        ("linux", {"KILO_DB": "mine.db"}, [".local/share/kilo", ".local/share/kilo/mine.db"], TASKS),
        ("darwin", {}, [".local/share/kilo"], TASKS.replace(".config", "Library/Application Support")),
        ("win32", {}, [".local/share/kilo"], TASKS.replace(".config", "AppData/Roaming")),
    ],
)  # fmt: skip
def test_data_folders_hold_the_store_and_the_tasks_of_every_editor(
    tmp_path: Path, platform: str, environ: dict[str, str], store_folders: list[str], editor: str
) -> None:
    named = {name: value.format(home=tmp_path) for name, value in environ.items()}
    folders = KILO.data_folders(tmp_path, named, platform)
    assert folders[: len(store_folders)] == [tmp_path / path for path in store_folders]
    assert tmp_path / editor in folders
    assert tmp_path / ".kilocode/cli/global/tasks" in folders


# The example of the page: the second request is a fast edit, whose own model's tokens the tool reports.
REQUEST = {"apiProtocol": "openai", "tokensIn": 20400, "tokensOut": 310, "cacheWrites": 0, "cacheReads": 18000}
REQUEST |= {"cost": 0.0121, "usageMissing": False, "inferenceProvider": "example"}
EDIT = {"tool": "editedExistingFile", "path": "cart.py"}
EDIT["fastApplyResult"] = {"tokensIn": 2100, "tokensOut": 900, "cost": 0.0009}  # type: ignore[assignment]


def task(root: Path, *entries: Json, name: str = TASK_ID) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "ui_messages.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def said(kind: str, ts: int, info: Any, type: str = "say") -> Json:
    return {"ts": ts, "type": type, type: kind, "text": info if isinstance(info, str) else json.dumps(info)}


def page_task(root: Path) -> Path:
    request = said("api_req_started", 1771500001000, REQUEST)
    return task(root, said("text", 1771500000000, "fix"), request, said("tool", 1771500009000, EDIT, "ask"))


async def test_a_legacy_task_counts_inclusive_input_and_fast_edits(tmp_path: Path) -> None:
    page_task(tmp_path / "home" / TASKS)
    found = await scanned(tmp_path, "kilo", tmp_path / "home", home=True)
    first, second = found.events()
    assert (first.input_tokens, first.cache_read_tokens, first.output_tokens, first.reported_cost) == (
        2400, 18000, 310, "0.0121",
    )  # fmt: skip
    assert (second.input_tokens, second.cache_read_tokens, second.output_tokens, second.reported_cost) == (
        2100, None, 900, "0.0009",
    )  # fmt: skip
    assert [row.session_id for row in found.sessions()] == [f"legacy:{TASK_ID}"]


async def test_a_request_whose_usage_is_missing_is_an_event_that_knows_nothing(tmp_path: Path) -> None:
    missing = REQUEST | {"usageMissing": True, "tokensIn": 0, "tokensOut": 0, "cacheReads": 0, "cost": 0}
    task(tmp_path / "home" / TASKS, said("api_req_started", 1771500001000, missing))
    found = await scanned(tmp_path, "kilo", tmp_path / "home", home=True)
    assert [(e.input_tokens, e.output_tokens) for e in found.events()] == [(None, None)]


async def test_a_task_that_was_imported_into_the_store_counts_once(tmp_path: Path) -> None:
    """The import writes its messages with zeros, no cost, and a provider `legacy`."""
    page_task(tmp_path / "home" / TASKS)
    about = {"providerID": "legacy", "modelID": "legacy", "finish": None, "cost": 0}
    imported = answer("msg_migrated_1", 0, tokens(), lasts=0, **about)
    found = await seen(tmp_path, session("ses_migrated_1", user("msg_migrated_0"), imported))
    assert (len(found.events()), found.totals()["input_tokens"], len(found.sessions())) == (2, 4500, 2)


@pytest.mark.parametrize(
    "root", ["", TASKS, TASKS.removesuffix("/tasks"), f"{TASKS}/0b8f5b64-0000-4000-8000-000000000001"]
)
async def test_a_root_may_be_a_home_or_the_place_of_the_tasks(tmp_path: Path, root: str) -> None:
    page_task(tmp_path / "home" / TASKS)
    found = await scanned(tmp_path, "kilo", tmp_path / "home" / root)
    assert found.totals()["events"] == 2


async def test_the_golden_sessions_give_the_frozen_rows(tmp_path: Path) -> None:
    page_task(tmp_path / "home" / TASKS)
    found = await seen(tmp_path, *json.loads((GOLDEN / "sessions.json").read_text(encoding="utf-8")))
    rows = [
        {"key": e.key.hex(), "identity": json.loads(e.identity), "at": e.at, "input": e.input_tokens}
        | {"cache_read": e.cache_read_tokens, "cache_write": e.cache_write_tokens, "output": e.output_tokens}
        | {"reasoning": e.reasoning_tokens, "cost": e.reported_cost, "status": e.reported_cost_status}
        for e in found.events()
    ]
    assert rows == json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    assert store.identities(found.set_aside()) == []
