"""The questions whose answers the API's documents show, the data that they are asked of, and how answers are written.

Written so that they are the same in every run: times within the last hour, which are by the hub's clock, as NOW; ids
that were made just now as SOME_ID; request ids, hashes, releases and credentials as in _SAME.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

import usage_week
from hub_client import HubClient
from ledgers import add_host
from trueup_hub.openapi.examples import Example, Question
from trueup_hub.routes import ROUTES
from trueup_shared import keys, wire
from usage_data import Machine, session_key

NOW = "2026-11-09T09:00:00Z"
SOME_ID = "0b7f6f5e-9f3b-4c1e-8a57-2d6c1e90f3aa"
WEEK = {"from": usage_week.FIRST, "to": usage_week.LAST, "timezone": "Europe/Berlin"}
SESSION = session_key("spring-cleaning").hex()
LEDGER = "7d6a1c5e-3f0b-4d1c-9c61-5a0f3b0c2e11"
AGENT = {"version": "0.1.0", "features": ["directives", "generations", "repair"]}
_SAME = {
    "request_id": "5f0c9a7b3e21d846",
    "hash": "0f" * 16,
    "version": "0.1.0",
    "credential": "tuh_…",
}
_ROUTES = {route.handler.__name__: route for route in ROUTES}


def _b64(raw: bytes) -> str:
    found: str = msgspec.to_builtins(raw)
    return found


def _q(operation: str, name: str, says: str, **asks: str) -> Question:
    return Question(operation=operation, name=name, says=says, asks=asks)


def _sent(operation: str, name: str, says: str, body: Any, **asks: str) -> Question:
    return Question(operation=operation, name=name, says=says, asks=asks, body=body)


_EVENT = [
    _b64(keys.event_key("claude", "msg_1")),
    1,
    None,
    {"2": _b64(session_key("first")), "3": 1_793_620_800_000_000, "4": 1, "5": "claude", "15": 420},
]
_UNSTORABLE = [_b64(keys.event_key("claude", "msg_2")), 2, None, {"15": 12}]  # whose, and when?
_BATCH = {"batch_id": _b64(bytes(range(16))), "previous_batch_id": None, "batch_no": 1, "from_seq": 0, "to_seq": 2}
_SOURCE = {"key": _b64(keys.key("source", "first.jsonl")), "harness": "claude", "state": "source_gone"}
_READ = {"bytes_read": 5_120, "lines": 12, "skipped_lines": 1, "unknown_records": 0}
_BEAT = {"head_seq": 2, "rows": 2, "pending": 0, "sent_at": 1_794_214_800_000_000, "sources": [_SOURCE | _READ]}


def questions(desk: str) -> list[Question]:
    """In the order in which they are asked. `desk`: the id of a host."""
    return [
        _q("get_analytics_summary", "week", "a week in one zone", **WEEK),
        _q("get_analytics_summary", "labelled", "only hosts of one team", **WEEK, label="team:web"),
        _q("get_analytics_summary", "all", "every copy of a request counts", **WEEK, counted="all"),
        _q("get_analytics_summary", "unknown", "a value that the hub does not know", model="gpt-9"),
        _q("get_analytics_activity", "weeks", "weeks, by model", **WEEK, granularity="week", group_by="model"),
        _q("get_analytics_heatmap", "output", "output tokens, day by day", **WEEK, metric="output_tokens"),
        _q("get_analytics_hour_of_week", "cost", "cost by the hours of a week", **WEEK, metric="cost", format="csv"),
        _q("get_analytics_top_sessions", "cost", "what cost most", **WEEK, metric="cost", limit="2"),
        _q("get_analytics_top_sessions", "refused", "a metric that sessions do not have", metric="sessions"),
        _q("get_analytics_breakdown", "harness", "by harness", **WEEK, by="harness"),
        _q("get_analytics_breakdown", "team", "by a label of hosts, as CSV", **WEEK, by="label:team", format="csv"),
        _q("get_sessions", "page", "the first page, of one session", **WEEK, sort="total_tokens", limit="1"),
        _q(
            *("get_sessions", "bounds", "whose output is known only to be at least so much"),
            **WEEK,
            quality="lower_bound",
            counter="output_tokens",
        ),
        _q("get_session", "one", "one session", session_id=SESSION),
        _q("get_session_messages", "page", "its first messages", session_id=SESSION, limit="2"),
        _q("get_session_usage", "one", "where its numbers come from", session_id=SESSION),
        _q("get_trust", "week", "host by host", **WEEK),
        _q("get_capabilities", "all", "what this hub can do"),
        _q("get_hosts", "all", "all hosts"),
        _q("get_hosts", "csv", "all hosts, as CSV", format="csv"),
        _q("get_host", "one", "one host", host_id=desk),
        _q("get_me", "me", "whose token it is"),
        _sent("post_login", "refused", "a token that is not good", {"token": "tut_not-a-token"}),
        _q("post_logout", "out", "log out"),
        _q("get_healthz", "alive", "whether it lives"),
        _q("get_readyz", "ready", "whether it is ready"),
        _sent(
            *("post_enroll", "new", "a machine enrols"),
            {"code": "$CODE", "secret": _b64(bytes(32)), "label": "build", "kind": "server", "agent": AGENT},
        ),
        _q("get_ledger", "new", "a ledger that is new to the hub", ledger_id=LEDGER),
        _sent(
            *("post_batch", "first", "its first batch, of one request and one that cannot be"),
            {**_BATCH, "events": [_EVENT, _UNSTORABLE], "agent": AGENT},
            ledger_id=LEDGER,
        ),
        _sent("post_heartbeat", "beat", "how the agent is", {"ledger_id": LEDGER, **_BEAT, "agent": AGENT}),
        _q("get_sources", "gone", "logs that are gone", state="source_gone"),
        _q("get_rejections", "all", "what the hub could not accept"),
        _sent("post_resync", "push", "everything anew", {"kind": "full_push", "reason": "as a test"}, host_id=desk),
        _sent(
            "post_enroll_code",
            "three",
            "a code for three machines",
            {"uses": 3, "expires_seconds": 1800, "labels": {"team": "web"}},
        ),
        _sent("patch_host", "name", "another name", {"label": "desk-2"}, host_id=desk),
        _q("delete_host", "forget", "forget it", host_id=desk),
    ]


class _Sender(NamedTuple):
    """A machine as usage_week fills it."""

    machine: Machine

    async def push(self, rows: Any) -> None:
        await self.machine.send(*rows)


async def fill(hub: HubClient) -> str:
    """A week of two machines, one of which has a copy of a session of the other. Gives the id of the first."""
    desk, laptop = await add_host(hub.db, "desk", 0), await add_host(hub.db, "laptop", 1)
    first, second = Machine(hub.db, desk, "desk"), Machine(hub.db, laptop, "laptop")
    await usage_week.fill(_Sender(first), _Sender(second))
    await second.send(*copy_of_a_session())
    await hub.db.execute("""UPDATE hosts SET labels = '{"team": "web"}' WHERE label = 'desk'""")
    return desk[1]


def copy_of_a_session() -> list[tuple[bytes, wire.Body]]:
    day, claude = usage_week.FIRST, usage_week.CLAUDE
    full = {"input_tokens": 1_200, "cache_read_tokens": 250_000, "cache_write_tokens": 0, "output_tokens": 4_321}
    return [
        usage_week.session("spring-cleaning", day, claude),
        usage_week.event("e1", "spring-cleaning", day, claude, **full),
    ]


async def asked(hub: HubClient, desk: str) -> list[Example]:
    """Each question with its answer, as it is written."""
    admin, credential, found = await hub.token("admin"), "", []
    for question in questions(desk):
        route = _ROUTES[question.operation]
        headers = {"Authorization": f"Bearer {credential}"} if route.need == "host" else admin
        data = None
        if question.body is not None:
            headers = headers | {"Content-Type": "application/json"}
            data = msgspec.json.encode(question.body).decode().replace("$CODE", await hub.code())
        async with hub.http.request(route.method, question.address(route), headers=headers, data=data) as reply:
            text = await reply.text()
            if question.operation == "post_enroll":
                credential = msgspec.json.decode(text)["credential"]
            kind = reply.content_type if text else ""
            text = settled(text, desk)
            answer = msgspec.json.decode(text) if kind.endswith("json") else text
            asked = msgspec.structs.asdict(question)
            found.append(Example(**asked, status=reply.status, media_type=kind, answer=answer))
    return found


def settled(text: str, *stable: str) -> str:
    now = datetime.now(UTC)

    def moment(found: re.Match[str]) -> str:
        return NOW if abs(datetime.fromisoformat(found[0]) - now) < timedelta(hours=1) else found[0]

    def in_words(found: re.Match[str]) -> str:
        return "2026-11-09 09:00 UTC" if moment(re.match(".*", f"{found[1]}T{found[2]}Z")) == NOW else found[0]

    def made(found: re.Match[str]) -> str:
        known = (*stable, LEDGER)
        return found[0] if found[0] in known or found[0][14] == "5" else SOME_ID

    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", moment, text)
    text = re.sub(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC", in_words, text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made, text)
    text = re.sub(r"tue_[\w-]+", "tue_…", text)
    for name, value in _SAME.items():
        text = re.sub(rf'"{name}":"[^"]*"', f'"{name}":"{value}"', text)
    return text
