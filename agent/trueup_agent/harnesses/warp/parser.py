"""Reads Warp's conversations. Rules and evidence: formats/warp.md; the producer's `ConversationUsageMetadata`.

The database has everything that was typed into the terminal, and tokens of the server beside the usage: of the two
tables that are read at all, only the named columns and one path of the JSON leave it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Database, Files, Usage, skip, time_of
from trueup_agent.harnesses.json_text import object_at, object_of, objects, value_of
from trueup_agent.harnesses.series import observation
from trueup_agent.harnesses.tables import Row, RowsParser, Table
from trueup_agent.records import EventRecord, MessageRecord, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key

ID = "warp"

# Who pays: the plan, the user's own key, an endpoint of the user's. Different spend, so different series.
_PAYERS = {"warp_tokens": "warp", "byok_tokens": "byok", "custom_endpoint_tokens": "custom_endpoint"}
_QUERIES = ("exchange_id", "conversation_id", "start_ts", "input", "model_id", "working_directory", "output_status")
_CONVERSATION = """SELECT conversation_id, last_modified_at, conversation_data IS NULL OR json_valid(conversation_data),
    CASE WHEN json_valid(conversation_data)
         THEN json_extract(conversation_data, '$.conversation_usage_metadata.token_usage') END,
    CASE WHEN json_valid(conversation_data)
         THEN json_extract(conversation_data, '$.conversation_usage_metadata.credits_spent') END
    FROM agent_conversations WHERE last_modified_at >= ? OR last_modified_at IS NULL OR ? = ''"""
_OF_CHANGED = "conversation_id IN (SELECT conversation_id FROM agent_conversations WHERE last_modified_at >= ?)"

_encode = msgspec.json.Encoder().encode


def of_raw(raw: bytes) -> Usage | None:
    if (logged := object_of(raw)) is None:
        return None
    return Usage(undivided_tokens=next((values.counter(logged[name]) for name in _PAYERS if name in logged), None))


class _Conversation:
    """What the queries of one conversation say of it."""

    def __init__(self) -> None:
        self.started_at: int | None = None
        self.latest: int | None = None
        self.project: str | None = None

    def add(self, at: int | None, project: str | None) -> None:
        if at is not None and (self.started_at is None or at < self.started_at):
            self.started_at, self.project = at, project or self.project
        self.project = self.project or project
        self.latest = max(at or 0, self.latest or 0) or None


class WarpParser(RowsParser):
    """`base.WholeParser`."""

    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path = path
        self._files = files

    def fill(self) -> Iterator[None]:
        database = self._files.database(self._path)
        self._found: dict[str, _Conversation] = {}
        since = str(self.since("modified_at", ""))
        conversations = list(self._conversations(database, since))
        yield from self._queries(database, since)
        for id_, conversation in self._found.items():
            self._session(id_, conversation)
            yield
        for id_, modified_at, usage, credits in conversations:
            self._totals(id_, modified_at, usage, credits)
            yield

    def _conversations(self, database: Database, since: str) -> Iterator[tuple[str, Any, Any, Any]]:
        needed = {"conversation_id", "conversation_data", "last_modified_at"}
        if not needed <= database.columns("agent_conversations"):
            return
        for id_, modified_at, is_valid, usage, credits in database.rows(_CONVERSATION, (since, since)):
            self.parsed.lines += 1
            self.saw("modified_at", modified_at)
            if not is_valid or (id_ := values.text(id_)) is None:
                skip(self.parsed, MALFORMED)
                continue
            self._found.setdefault(id_, _Conversation())
            yield id_, modified_at, usage, credits

    def _queries(self, database: Database, since: str) -> Iterator[None]:
        table = Table(database, "ai_queries", _QUERIES)
        if not since:
            rows = table.pages()
        elif {"conversation_id", "last_modified_at"} <= database.columns("agent_conversations"):
            rows = table.pages(f"start_ts >= ? OR {_OF_CHANGED}", (since, since))
        else:
            rows = table.pages("start_ts >= ?", (since,))
        for row in rows:
            self.parsed.lines += 1
            id_, exchange = values.text(row["conversation_id"]), values.text(row["exchange_id"])
            if id_ is None or exchange is None:
                skip(self.parsed, MALFORMED)
                continue
            at, project = values.micros(row["start_ts"]), values.text(row["working_directory"], values.MAX_PATH)
            self._found.setdefault(id_, _Conversation()).add(at, project)
            self._query(id_, exchange, at, project, row)
            yield

    def _query(self, id_: str, exchange: str, at: int | None, project: str | None, row: Row) -> None:
        """A prompt; and where it was answered, a request whose share of the conversation's usage nobody knows."""
        key = event_key(ID, exchange) if at is not None and _status(row["output_status"]) == "Completed" else None
        self.parsed.messages.append(
            MessageRecord(
                key=message_key(ID, exchange),
                session_key=session_key(ID, id_),
                harness=ID,
                at=at,
                role="user",
                kind="prompt",
                size_chars=_prompt_size(row["input"]),
                event_key=key,
                project_path=project,
                session_started=at or 0,
            )
        )
        if key is not None and at is not None:
            self.parsed.events.append(
                EventRecord(
                    key=key,
                    session_key=session_key(ID, id_),
                    harness=ID,
                    at=at,
                    model=values.text(row["model_id"]),
                    project_path=project,
                    session_started=at,
                    identity=_encode((exchange,)).decode(),
                )
            )

    def _session(self, id_: str, conversation: _Conversation) -> None:
        self.parsed.sessions.append(
            SessionRecord(
                key=session_key(ID, id_),
                harness=ID,
                session_id=id_,
                started_at=conversation.started_at,
                project_path=conversation.project,
            )
        )

    def _totals(self, id_: str, modified_at: Any, usage: Any, credits: Any) -> None:
        conversation = self._found[id_]
        at, quality = time_of(values.micros(modified_at), conversation.latest, self._files, self._path)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        facts = {
            "session_key": session_key(ID, id_),
            "at": at,
            "time_quality": quality,
            "project_path": conversation.project,
            "session_started": conversation.started_at or at,
        }
        for entry in _entries(usage):
            self._model(id_, entry, facts)
        spent = values.amount(credits) if type(credits) in (int, float) and credits > 0 else None
        if spent is not None:
            cost = {"reported_cost": spent, "reported_cost_unit": "credits", "reported_cost_status": "reported"}
            self.parsed.events.append(observation(ID, (id_, "credits"), (spent,), Usage(), **facts, **cost))

    def _model(self, id_: str, entry: dict[str, Any], facts: dict[str, Any]) -> None:
        model = values.text(entry.get("model_id"))
        totals = {name: values.counter(entry.get(name)) for name in _PAYERS}
        self.parsed.answer(metered=any(total is not None for total in totals.values()))
        for name, total in totals.items():
            if total:
                self.parsed.events.append(
                    observation(
                        ID,
                        (id_, model or "", _PAYERS[name]),
                        (total,),
                        Usage(undivided_tokens=total),
                        model=model,
                        service_tier=_PAYERS[name],
                        raw_usage=_encode({name: total}),
                        **facts,
                    )
                )


def _entries(usage: Any) -> list[dict[str, Any]]:
    return objects(value_of(usage))


def _status(status: Any) -> str | None:
    """Some releases store it as JSON, in quotes."""
    return status.strip('"') if isinstance(status, str) else None


def _prompt_size(queries: Any) -> int | None:
    """`[{"Query": {"text": …}}, …]`."""
    if (entries := value_of(queries)) is None:
        return None
    texts = [object_at(entry, "Query").get("text") for entry in objects(entries)]
    return sum(len(text) for text in texts if isinstance(text, str))
