"""Messages deleted from a Cline task: their usage stays, and is not added again from the sum that replaces it."""

from pathlib import Path
from typing import Any

from scanned import Scanned, scanned
from task_files import request, say, usage, write_task

PROMPT = say("text", "fix the cart")
KEPT = request(1, 10, 100, reads=1000, cost=0.1)
LOST = request(2, 20, 200, reads=2000, cost=0.2)
LOST_TOO = request(3, 40, 400, reads=4000, cost=0.4)


def deleted(seconds: float, tokens_in: int, out: int, reads: int, **more: Any) -> dict[str, Any]:
    return say("deleted_api_reqs", usage(tokens_in, out, reads, **more), seconds)


async def first_scan(tmp_path: Path, *entries: Any) -> Scanned:
    write_task(tmp_path / "home", [PROMPT, *entries])
    return await scanned(tmp_path, "cline", tmp_path / "home", home=True)


async def rescan(seen: Scanned, tmp_path: Path, *entries: Any) -> tuple[Any, ...]:
    write_task(tmp_path / "home", [PROMPT, *entries])
    await seen.scan()
    return sums(seen)


def sums(seen: Scanned) -> tuple[Any, ...]:
    totals = seen.totals()
    cost = totals["cost"]["usd"]
    return totals["input_tokens"], totals["output_tokens"], totals["cache_read_tokens"], float(cost)


async def test_a_sum_seen_at_first_import_counts_in_full(tmp_path: Path) -> None:
    seen = await first_scan(tmp_path, KEPT, deleted(9, 60, 600, 6000, cost=0.6))
    assert sums(seen) == (70, 700, 7000, 0.7)
    assert seen.totals()["derived"] == 0


async def test_a_sum_of_requests_that_were_seen_before_adds_nothing(tmp_path: Path) -> None:
    seen = await first_scan(tmp_path, KEPT, LOST, LOST_TOO)
    assert await rescan(seen, tmp_path, KEPT, deleted(9, 60, 600, 6000, cost=0.6)) == (70, 700, 7000, 0.7)
    assert (seen.totals()["events"], seen.totals()["gone"]) == (3, 2)


async def test_of_a_sum_counts_what_was_not_seen_before(tmp_path: Path) -> None:
    seen = await first_scan(tmp_path, KEPT, LOST)
    assert await rescan(seen, tmp_path, KEPT, deleted(9, 60, 600, 6000, cost=0.6)) == (70, 700, 7000, 0.7)
    assert (seen.totals()["events"], seen.totals()["derived"]) == (3, 1)


async def test_a_deeper_deletion_takes_the_sum_of_an_earlier_one_into_its_own(tmp_path: Path) -> None:
    seen = await first_scan(tmp_path, KEPT, LOST, deleted(9, 40, 400, 4000, cost=0.4), request(10, 1, 5, cost=0.01))
    assert sums(seen)[:2] == (71, 705)
    # Back to the first request: the second, the sum and the last are in the new sum.
    assert (await rescan(seen, tmp_path, KEPT, deleted(20, 61, 605, 6000, cost=0.61)))[:2] == (71, 705)
    assert (await rescan(seen, tmp_path, KEPT, deleted(20, 61, 605, 6000, cost=0.61)))[:2] == (71, 705)


async def test_two_deletions_beside_each_other_are_two_sums(tmp_path: Path) -> None:
    first, second = deleted(5, 20, 200, 2000, cost=0.2), deleted(9, 40, 400, 4000, cost=0.4)
    seen = await first_scan(tmp_path, KEPT, first, request(6, 1, 10, cost=0.01), second)
    assert sums(seen)[:2] == (71, 710)


async def test_deleting_the_task_takes_nothing_back(tmp_path: Path) -> None:
    seen = await first_scan(tmp_path, KEPT, LOST)
    entries = [KEPT, deleted(9, 60, 600, 6000, cost=0.6), request(10, 2, 20, cost=0.02)]
    before = await rescan(seen, tmp_path, *entries)
    assert before[:2] == (72, 720)
    for path in sorted((tmp_path / "home").rglob("*.json")):
        path.unlink()
    await seen.scan()
    assert sums(seen) == before
    assert seen.totals()["gone"] == seen.totals()["events"]


async def test_a_task_deleted_after_a_first_import_with_a_sum_keeps_it(tmp_path: Path) -> None:
    seen = await first_scan(tmp_path, KEPT, deleted(9, 20, 200, 2000, cost=0.2))
    before = sums(seen)
    for path in sorted((tmp_path / "home").rglob("*.json")):
        path.unlink()
    await seen.scan()
    assert sums(seen) == before == (30, 300, 3000, 0.3)


async def test_an_empty_sum_is_no_event(tmp_path: Path) -> None:
    seen = await first_scan(tmp_path, KEPT, deleted(9, 0, 0, 0, cost=0))
    assert seen.totals()["events"] == 1


async def test_subagents_deleted_with_their_request_are_in_the_sum_too(tmp_path: Path) -> None:
    subagents = say("subagent_usage", usage(300, 30, 0, cost=0.03), 2.5)
    seen = await first_scan(tmp_path, KEPT, LOST, subagents)
    assert (await rescan(seen, tmp_path, KEPT, deleted(9, 320, 230, 2000, cost=0.23)))[:2] == (330, 330)
