"""Requests made up from the hub's own OpenAPI document, right ones and wrong ones, against a hub with data."""

import asyncio
import base64
import copy
import uuid
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hub_process import Hub
from trueup_hub import admission
from trueup_hub.enrolment import make_enroll_code
from usage_week import CLAUDE, CODEX, FIRST, LAST, fill

ANSWERS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CHECKS = {GenerationMode.POSITIVE: ANSWERS, GenerationMode.NEGATIVE: [*ANSWERS, negative_data_rejection]}
LONG = settings().max_examples > 1_000  # make soak
EXAMPLES = {GenerationMode.POSITIVE: 1_000 if LONG else 5, GenerationMode.NEGATIVE: 1_000 if LONG else 2}
ENDLESS = "get_events"  # a stream
LAST_TRIED = ("patch_host", "delete_host")  # nothing is as it was afterwards
NOBODY = "00000000-0000-4000-8000-000000000000"


async def known_values(hub: Hub) -> dict[str, list[Any]]:
    """Values of parameters, and of fields by `Type.field`, with which a request finds something at this hub."""
    desk, laptop = await hub.machine("desk"), await hub.machine("laptop")
    await fill(desk, laptop)
    await hub.auth.db.execute("""UPDATE hosts SET labels = '{"team": "web"}' WHERE label = 'desk'""")
    sessions = await hub.get("sessions")
    return {
        "host_id": [desk.host_id, laptop.host_id, NOBODY],
        "session_id": [*(one["id"] for one in sessions["sessions"]), 32 * "0"],
        "ledger_id": [str(uuid.UUID(int=number, version=4)) for number in range(20)],
        "host": ["desk", "laptop"],
        "harness": ["claude", "codex", ""],
        "project": ["website", "compiler", ""],
        "model": [CLAUDE["model"], CODEX["model"], ""],
        "provider": ["anthropic", "openai"],
        "label": ["team:web", "team:"],
        "from": ["2026-11-01", FIRST],
        "to": ["2026-11-09", LAST],
        "timezone": ["UTC", "Asia/Kathmandu", "America/Los_Angeles"],
        "EnrollRequest.code": [await make_enroll_code(hub.auth.db, uses=None)],
        "EnrollRequest.secret": [base64.b64encode(bytes([number] * 32)).decode() for number in range(4)],
        "EnrollRequest.label": ["new", "Zoë's"],
        "Heartbeat.ledger_id": [NOBODY],
        "Batch.previous_batch_id": [None],
        "Batch.batch_no": [1],
        "Batch.from_seq": [0],
        "Batch.kind": ["ordinary"],
        "Batch.digest_set": [1],
        "OpenGeneration.last_batch_id": [None],
        "CommitGeneration.last_batch_id": [None],
        "AgentInfo.protocols": [[1, 1]],
    }


def likely(told: dict[str, Any], known: dict[str, list[Any]]) -> dict[str, Any]:
    """The document, made to say what this hub has: else next to no request would find anything."""
    told = copy.deepcopy(told)
    schemas = [
        (parameter["name"], parameter["schema"])
        for path in told["paths"].values()
        for operation in path.values()
        for parameter in operation["parameters"]
    ]
    schemas += [
        (f"{name}.{field}", about)
        for name, record in told["components"]["schemas"].items()
        for field, about in record.get("properties", {}).items()
    ]
    for name, about in schemas:
        if name in known:
            about = about["items"] if about.get("type") == "array" and "items" in about and "." not in name else about
            about.clear()
            about["enum"] = known[name]
    return told


@pytest.mark.timeout(3600 if LONG else 120)
async def test_every_answer_is_one_that_the_document_tells_of(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No 5xx, no answer outside of its schema, no status, media type or header that is not told; wrong data refused."""
    monkeypatch.setattr(admission, "PER_MINUTE", 1_000_000)
    known = await known_values(hub)
    credentials = {
        "token": await hub.auth.make_token("admin", "made up", None, "test"),
        "credential": (await hub.machine("sender")).credential,
    }
    async with hub.http.get(f"{hub.url}/api/openapi.json") as reply:
        told = await reply.json()
    schemathesis.openapi.from_dict(told).validate()
    documents = {GenerationMode.POSITIVE: likely(told, known), GenerationMode.NEGATIVE: told}
    faults = []
    for mode, document in documents.items():
        faults += await asyncio.to_thread(tried, document, mode, hub.url, credentials)
    assert not faults, "\n\n".join(faults)


def tried(told: dict[str, Any], mode: GenerationMode, url: str, credentials: dict[str, str]) -> list[str]:
    """What was wrong, one text for each operation that had something."""
    found = {}
    for result in schemathesis.openapi.from_dict(told).get_all_operations():
        operation = result.ok()
        about = operation.definition.raw
        nothing = not (about["parameters"] or "requestBody" in about)
        if about["operationId"] == ENDLESS or (nothing and mode == GenerationMode.NEGATIVE):
            continue
        found[about["operationId"]] = operation, [next(iter(one)) for one in about["security"]]
    faults = []
    for name, (operation, schemes) in sorted(found.items(), key=lambda one: one[0] in LAST_TRIED):
        headers = {"Authorization": f"Bearer {credentials[schemes[0]]}"} if schemes else {}
        try:
            ask_many(operation, mode, url, headers)
        except (Exception, FailureGroup) as fault:
            faults.append(f"{name}, {mode.value}: {type(fault).__name__}: {fault}")
    return faults


def ask_many(operation: Any, mode: GenerationMode, url: str, headers: dict[str, str]) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES[mode], suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
    )
    def ask(case: Any) -> None:
        if mode == GenerationMode.POSITIVE:
            case.body = whole(case.body)
        response = case.call(base_url=url, headers=headers, timeout=30)
        case.validate_response(response, checks=CHECKS[mode])

    ask()


def whole(value: Any) -> Any:
    """2.0 is a whole number by JSON Schema, and none for the hub."""
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
