"""What Prometheus reads says what /trust says, of 500 hosts as of one, and only to those who may see it."""

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub_client import API, HubClient, problem
from ledgers import add_host
from trueup_hub.states import STATES
from usage_data import event, machine, session

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
OPERATING = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text()


async def scraped(hub: HubClient, viewer: dict[str, str], **headers: str) -> Samples:
    response = await hub.http.get("/metrics", headers=viewer | headers)
    assert response.status == 200, await response.text()
    families = text_string_to_metric_families(await response.text())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


async def test_metrics_say_what_trust_says_at_the_same_moment(hub: HubClient) -> None:
    viewer = await hub.token()
    ana, bob = await machine(hub.db, "ana"), await machine(hub.db, 'b"ob\n')
    for sent in (ana, bob):
        await sent.send(session("s", "2026-11-02T10:00Z"), event("e", "s", "2026-11-02T10:00Z", output_tokens=1))
    await add_host(hub.db, "eva")
    await hub.db.execute(
        "UPDATE ledgers SET verdict = 'diverged', rejected = 3, corrected = 2 WHERE host_no = $1", bob.host_no
    )
    await hub.db.execute(
        "INSERT INTO host_status (host_no, ledger_no, seen_at, sent_at, head_seq, rows, pending, drift_suspected)"
        " SELECT host_no, ledger_no, now(), now(), acked_seq + 7, 2, 7, '{claude}' FROM ledgers WHERE host_no = $1",
        ana.host_no,
    )
    samples = await scraped(hub, viewer)
    response = await hub.http.get(f"{API}/trust", headers=viewer)
    report: Any = await response.json()
    trust = report["trust"]
    assert {state: of(samples, "trueup_hosts", state=state) for state in STATES} == {
        state: trust["hosts"][state] for state in STATES
    }
    assert (trust["hosts"]["behind"], trust["hosts"]["diverged"], trust["hosts"]["never"]) == (1, 1, 1)
    assert of(samples, "trueup_pending_changes") == trust["pending_changes"] == 7
    assert of(samples, "trueup_rejected_rows") == trust["rejected"] == 3
    assert of(samples, "trueup_hosts_flagged", flag="needs_resync") == trust["needs_resync"] > 0
    assert of(samples, "trueup_hosts_flagged", flag="drift_suspected") == trust["drift_suspected"] == 1
    assert (of(samples, "trueup_ledgers_diverged"), of(samples, "trueup_corrected_rows")) == (1, 2)
    lags = {
        dict(labels)["host"]: value for (name, labels), value in samples.items() if name == "trueup_host_lag_seconds"
    }
    known = {host["label"] for host in report["hosts"] if host["complete_up_to"] is not None}
    assert lags.keys() == known == {"ana"}
    assert 0 <= lags["ana"] < 60
    assert trust["complete_up_to"] is None and ("trueup_lag_seconds", ()) not in samples
    for host in report["hosts"]:
        named = of(samples, "trueup_host_pending_changes", host_id=host["host_id"], host=host["label"])
        assert named == host["pending_changes"]


async def test_the_lag_of_all_is_that_of_the_host_that_is_furthest_behind(hub: HubClient) -> None:
    viewer = await hub.token()
    for label, hours in (("ana", 1), ("bob", 3)):
        sent = await machine(hub.db, label)
        await sent.send(session("s", "2026-11-02T10:00Z"))
        await hub.db.execute(
            "UPDATE ledgers SET converged_at = now() - $1 * interval '1 h', last_batch_at = now() WHERE host_no = $2",
            *(hours, sent.host_no),
        )
    samples = await scraped(hub, viewer)
    assert of(samples, "trueup_lag_seconds") == pytest.approx(3 * 3600, abs=60)


async def test_requests_and_batches_are_counted_by_route_and_by_what_came_of_them(hub: HubClient) -> None:
    viewer = await hub.token()
    await hub.http.get(f"{API}/trust", headers=viewer)
    await hub.http.get(f"{API}/trust?colour=red", headers=viewer)
    await hub.http.get(f"{API}/nothing/here")
    await hub.http.delete("/metrics")
    samples = await scraped(hub, viewer)
    counted = {
        tuple(dict(labels)[name] for name in ("method", "route", "status")): value
        for (name, labels), value in samples.items()
        if name == "trueup_request_seconds_count"
    }
    assert counted == {
        ("GET", f"{API}/trust", "200"): 1,
        ("GET", f"{API}/trust", "400"): 1,
        ("GET", "/{path:.*}", "404"): 1,
        ("other", "none", "405"): 1,
    }
    assert of(samples, "trueup_batch_rows_total", outcome="inserted") == 0
    assert of(samples, "trueup_questions", state="answered") == 1  # this very one


async def test_five_hundred_hosts_are_five_hundred_of_each_sample_and_no_more(hub: HubClient) -> None:
    viewer = await hub.token()
    await hub.db.execute(
        "INSERT INTO hosts (host_id, label, enrolled_at, credential_hash)"
        " SELECT gen_random_uuid(), 'host ' || n, now(), '' FROM generate_series(1, 500) n"
    )
    before = len(await scraped(hub, viewer))
    samples = await scraped(hub, viewer)
    assert sum(name == "trueup_host_pending_changes" for name, _ in samples) == 500
    assert len(samples) < 1000
    assert len(samples) - before <= 20  # series of the scrape itself


async def test_metrics_are_for_viewers_in_the_format_that_is_asked_for(hub: HubClient) -> None:
    await problem(await hub.http.get("/metrics"), 401, "unauthorized")
    host = {"Authorization": f"Bearer {(await hub.host()).credential}"}
    await problem(await hub.http.get("/metrics", headers=host), 403, "forbidden")
    viewer = await hub.token()
    plain = await hub.http.get("/metrics", headers=viewer)
    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    open_metrics = await hub.http.get("/metrics", headers=viewer | {"Accept": "application/openmetrics-text"})
    assert open_metrics.content_type == "application/openmetrics-text"
    assert (await open_metrics.text()).endswith("# EOF\n")


async def test_every_metric_is_documented(hub: HubClient) -> None:
    await machine(hub.db, "ana")
    viewer = await hub.token()
    await scraped(hub, viewer)  # a request that the next one tells of
    names = scraped_names(await scraped(hub, viewer))
    assert {"trueup_request_seconds", "trueup_batch_seconds", "trueup_host_pending_changes"} <= names
    assert not [name for name in names if f"`{name}" not in OPERATING]


def scraped_names(samples: Samples) -> set[str]:
    """Of our metrics; a histogram's without what its samples have at the end."""
    names = {name for name, _ in samples if name.startswith("trueup_") and not name.endswith("_created")}
    return {re.sub(r"_seconds_(bucket|count|sum)$", "_seconds", name) for name in names}
