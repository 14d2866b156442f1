"""How a machine comes in, and how a hub that lost its database knows it again."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from hub_client import API, KEY, HubClient, bearer, enrolment, problem, start_hub
from trueup_hub.db import Database
from trueup_hub.hub_key import Revocations, load_or_make_key, make_credential, read_credential
from trueup_hub.settings import HubSettings
from trueup_shared.settings import SettingError
from trueup_shared.wire import AgentInfo, EnrollReply, EnrollRequest, Heartbeat

LEDGER = "5f9b1c1e-0000-4000-8000-000000000001"


async def enrol(hub: HubClient, request: EnrollRequest) -> Any:
    return await hub.http.post(f"{API}/enroll", json=msgspec.to_builtins(request))


async def granted(hub: HubClient, request: EnrollRequest) -> EnrollReply:
    response = await enrol(hub, request)
    assert response.status == 200, await response.text()
    return msgspec.json.decode(await response.read(), type=EnrollReply)


def heartbeat(**fields: Any) -> Heartbeat:
    told = {"head_seq": 0, "rows": 0, "pending": 0, "sent_at": 1_790_000_000_000_000, **fields}
    return Heartbeat(ledger_id=LEDGER, agent=AgentInfo(version="1"), **told)


async def test_a_code_and_a_secret_become_a_credential_that_opens_the_hosts_own_doors(hub: HubClient) -> None:
    reply = await granted(hub, enrolment(await hub.code(labels={"team": "core"}), label="  ana's   laptop "))
    assert reply.label == "ana's laptop"
    assert reply.credential.startswith(f"trueup1.{reply.host_id}.")
    response = await hub.http.get(f"{API}/ledgers/{LEDGER}", headers=bearer(reply.credential))
    assert response.status == 200
    position = await response.json()
    assert (position["host_id"], position["acked_seq"], position["state"]) == (reply.host_id, 0, "never")
    [host] = (await (await hub.http.get(f"{API}/hosts", headers=await hub.token())).json())["hosts"]
    assert (host["label"], host["labels"], host["state"]) == ("ana's laptop", {"team": "core"}, "never")


async def test_a_repeat_gets_the_same_answer_even_when_the_code_is_used_up_or_gone(hub: HubClient) -> None:
    request = enrolment(await hub.code(uses=1))
    first = await granted(hub, request)
    assert await granted(hub, request) == first
    assert await granted(hub, msgspec.structs.replace(request, code="another", label="renamed")) == first


async def test_a_second_machine_with_a_used_code_gets_409(hub: HubClient) -> None:
    code = await hub.code(uses=1)
    await granted(hub, enrolment(code))
    await problem(await enrol(hub, enrolment(code)), 409, "code_used")


async def test_of_many_machines_at_once_a_code_admits_as_many_as_it_has_uses(hub: HubClient) -> None:
    code = await hub.code(uses=3)
    replies = await asyncio.gather(*(enrol(hub, enrolment(code)) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [200] * 3 + [409] * 5


async def test_one_machine_that_asks_twice_at_once_becomes_one_host(hub: HubClient) -> None:
    request = enrolment(await hub.code(uses=None))
    replies = await asyncio.gather(*(granted(hub, request) for _ in range(4)))
    assert len({reply.host_id for reply in replies}) == 1


async def test_a_code_without_limit_admits_many(hub: HubClient) -> None:
    code = await hub.code(uses=None, life=None)
    hosts = {(await granted(hub, enrolment(code))).host_id for _ in range(3)}
    assert len(hosts) == 3


async def test_an_expired_or_unknown_code_admits_nobody(hub: HubClient) -> None:
    expired = await hub.code(life=timedelta(0))
    await problem(await enrol(hub, enrolment(expired)), 403, "code_expired")
    await problem(await enrol(hub, enrolment("guess")), 403, "unknown_code")


@pytest.mark.parametrize("label", ["", " ", "x" * 121, "a\u202eb"])
async def test_a_label_is_one_printable_line(hub: HubClient, label: str) -> None:
    await problem(await enrol(hub, enrolment(await hub.code(), label=label)), 400, "bad_label")


async def test_a_short_secret_is_refused(hub: HubClient) -> None:
    await problem(await enrol(hub, enrolment(await hub.code(), secret=b"short")), 400, "bad_secret")


async def test_a_credential_with_a_wrong_mac_is_nobody(hub: HubClient) -> None:
    reply = await hub.host()
    secret = os.urandom(32)
    forged = make_credential(bytes(32), UUID(reply.host_id), 1, secret)  # another key's
    parts = reply.credential.split(".")
    later = ".".join([*parts[:2], str(int(parts[2]) + 1), *parts[3:]])  # to be first in the order of hosts
    other = ".".join([parts[0], LEDGER, *parts[2:]])
    for text in (forged, later, other, reply.credential[:-2], reply.credential + "A" * 4):
        await problem(await hub.http.get(f"{API}/ledgers/{LEDGER}", headers=bearer(text)), 401, "unauthorized")


async def test_a_revoked_host_is_out_at_once_and_cannot_come_back_with_its_secret(hub: HubClient) -> None:
    request = enrolment(await hub.code(uses=None))
    reply = await granted(hub, request)
    hub.auth.revocations.add(UUID(reply.host_id))
    await problem(await hub.http.get(f"{API}/ledgers/{LEDGER}", headers=bearer(reply.credential)), 401, "revoked")
    await problem(await enrol(hub, request), 403, "revoked")


async def test_a_hub_that_lost_its_database_readmits_its_hosts_with_the_same_ids_and_order(
    hub: HubClient, aiohttp_client: Any, tmp_path: Path
) -> None:
    request = enrolment(await hub.code(), label="ana")
    first, second = await granted(hub, request), await hub.host("bea")
    revoked = await hub.host("eve")
    hub.auth.revocations.add(UUID(revoked.host_id))
    before = await hub.db.fetch("SELECT host_id, enrolled_at, credential_hash FROM hosts ORDER BY enrolled_at")
    await hub.db.execute("TRUNCATE hosts, enroll_codes, tokens")

    for reply in (second, first):  # whoever comes first
        response = await hub.http.get(f"{API}/ledgers/{LEDGER}", headers=bearer(reply.credential))
        assert response.status == 200
    await problem(await hub.http.get(f"{API}/ledgers/{LEDGER}", headers=bearer(revoked.credential)), 401, "revoked")
    after = await hub.db.fetch("SELECT host_id, enrolled_at, credential_hash FROM hosts ORDER BY enrolled_at")
    assert [tuple(row) for row in after] == [tuple(row) for row in before][:2]

    told = heartbeat(label="ana", kind="laptop", platform="linux")
    response = await hub.http.post(f"{API}/heartbeat", json=msgspec.to_builtins(told), headers=bearer(first.credential))
    assert response.status == 200
    hosts = (await (await hub.http.get(f"{API}/hosts", headers=await hub.token())).json())["hosts"]
    assert [host["label"] for host in hosts] == ["ana", f"host-{second.host_id[:8]}"]
    assert [flag["flag"] for flag in hosts[0]["flags"]][-1] == "readmitted"
    assert (hosts[0]["kind"], hosts[0]["expected_silence_seconds"]) == ("laptop", 3 * 86_400)
    assert await granted(hub, request) == first


async def test_a_name_that_an_administrator_gave_is_not_taken_back_by_a_heartbeat(hub: HubClient) -> None:
    reply = await hub.host("ana")
    told = msgspec.to_builtins(heartbeat(label="mallory"))
    assert (await hub.http.post(f"{API}/heartbeat", json=told, headers=bearer(reply.credential))).status == 200
    assert await hub.db.fetchval("SELECT label FROM hosts") == "ana"


async def test_another_hubs_host_is_not_admitted(hub: HubClient, aiohttp_client: Any, db: Database) -> None:
    stranger = make_credential(os.urandom(32), UUID(LEDGER), 1, os.urandom(32))
    await problem(await hub.http.get(f"{API}/ledgers/{LEDGER}", headers=bearer(stranger)), 401, "unauthorized")
    assert await db.fetchval("SELECT count(*) FROM hosts") == 0


def test_the_hub_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = load_or_make_key(tmp_path / "hub", None)
    assert load_or_make_key(tmp_path / "hub", None) == key
    assert (tmp_path / "hub" / "hub.key").stat().st_mode & 0o777 == 0o600
    assert load_or_make_key(tmp_path / "hub", KEY.hex()) == KEY
    (tmp_path / "hub" / "hub.key").write_text("short")
    with pytest.raises(SettingError, match=r"hub\.key"):
        load_or_make_key(tmp_path / "hub", None)


def test_a_credential_is_the_same_for_the_same_arguments_and_read_back() -> None:
    made = make_credential(KEY, UUID(LEDGER), 1_790_000_000_000_000, bytes(32))
    assert made == make_credential(KEY, UUID(LEDGER), 1_790_000_000_000_000, bytes(32))
    read = read_credential(KEY, made)
    assert read is not None
    assert (str(read.host_id), read.enrolled_at) == (LEDGER, 1_790_000_000_000_000)


def test_a_revocation_by_another_process_is_seen(tmp_path: Path) -> None:
    here, there = Revocations(tmp_path), Revocations(tmp_path)
    assert UUID(LEDGER) not in here
    there.add(UUID(LEDGER))
    there.add(UUID(LEDGER))
    assert UUID(LEDGER) in here
    assert (tmp_path / "revoked").read_text() == f"{LEDGER}\n"


async def test_a_replica_with_the_same_key_knows_the_host(
    hub: HubClient, aiohttp_client: Any, db: Database, tmp_path: Path
) -> None:
    reply = await hub.host()
    replica = await start_hub(aiohttp_client, db, HubSettings(data_dir=tmp_path / "other"))
    response = await replica.http.get(f"{API}/ledgers/{LEDGER}", headers=bearer(reply.credential))
    assert response.status == 200
