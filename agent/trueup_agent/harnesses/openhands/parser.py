"""Reads the state document of an OpenHands conversation, and the files of its events (formats/openhands.md).

Metrics are kept in groups, one per use of a model. A conversation that delegates merges its children's metrics into its
own, and a fork copies all of them: a request is known by its response id and its counters, wherever it is listed.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import CONTRADICTORY, MALFORMED, NO_TIME, Files, SourceFile, Unfinished, skip, time_of
from trueup_agent.harnesses.content import numbers, provider_of
from trueup_agent.harnesses.inclusive import contradicts
from trueup_agent.harnesses.openhands.events import Said, read_events
from trueup_agent.harnesses.openhands.usage import ACCUMULATED, FIELDS, read_usage, vector
from trueup_agent.harnesses.series import observation, series_key
from trueup_agent.harnesses.values import LATEST, MAX_PATH, cost, epoch, local_micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key

ID = "openhands"

_encode = msgspec.json.Encoder().encode


class OpenHandsParser:
    """`base.WholeParser` of one conversation."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files
        self.parsed = Parsed()

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        self.parsed = Parsed(lines=1)
        document = self._document()
        if document is None:
            skip(self.parsed, MALFORMED)
            yield self.parsed
            return
        said = [entry for folder in self._source.companions for entry in read_events(folder, self._files, self.parsed)]
        self._describe(document, said)
        requests = self._requests(document)
        self._messages(said, requests)
        yield self.parsed

    def _document(self) -> dict[str, Any] | None:
        raw = self._files.read(self._source.path)
        if not raw or not raw.strip():
            raise Unfinished("half-written JSON")
        try:
            document = json_text.decode_document(raw)
        except json_text.UNREADABLE:
            return None
        return document if isinstance(document, dict) else None

    def _describe(self, document: dict[str, Any], said: list[Said]) -> None:
        """The session."""
        folder = self._source.path.parent
        self._id = (text(document.get("id")) or text(folder.name) or "unknown").replace("-", "")
        self._session = session_key(ID, self._id)
        dated = [entry.at for entry in said if entry.at is not None]
        self._started = local_micros(document.get("created_at")) or min(dated, default=None)
        self._last = max(dated, default=None)
        self._said_at = {entry.response_id: entry.at for entry in reversed(said) if entry.response_id}
        workspace = document.get("workspace")
        place = workspace.get("working_dir") if isinstance(workspace, dict) else document.get("working_dir")
        self._project = text(place, MAX_PATH)
        is_child = folder.parent.name == "subagents"
        parent = (text(folder.parents[1].name) or "unknown").replace("-", "") if is_child else None
        self.parsed.sessions.append(
            SessionRecord(
                key=self._session,
                harness=ID,
                session_id=self._id,
                parent_key=session_key(ID, parent) if parent else None,
                relationship="subagent" if is_child else None,
                started_at=self._started,
                project_path=self._project,
                title=text(document.get("title")),
            )
        )

    def _messages(self, said: list[Said], requests: dict[str, bytes]) -> None:
        for entry in said:
            self.parsed.messages.append(
                MessageRecord(
                    key=message_key(ID, entry.id),
                    session_key=self._session,
                    harness=ID,
                    at=entry.at,
                    role=entry.role,
                    kind=entry.kind,
                    tool_names=entry.tools,
                    size_chars=entry.size,
                    event_key=requests.get(entry.response_id) if entry.response_id else None,
                    project_path=self._project,
                    session_started=self._started or LATEST,
                )
            )

    # -- Metrics

    def _requests(self, document: dict[str, Any]) -> dict[str, bytes]:
        """Emits what was used; returns the event of each response id."""
        stats = document.get("stats")
        groups = stats.get("usage_to_metrics", stats.get("service_to_metrics")) if isinstance(stats, dict) else None
        requests: dict[str, bytes] = {}
        for name, metrics in groups.items() if isinstance(groups, dict) else ():
            if not isinstance(metrics, dict):
                skip(self.parsed, MALFORMED)
                continue
            usages = metrics.get("token_usages")
            if isinstance(usages, list) and usages:
                self._group(name, metrics, usages, requests)
            else:
                self._total(name, metrics)
        if not self.parsed.events:
            for _ in self._said_at:  # the model answered, and no usage of it is to be found
                self.parsed.answer(metered=False)
        return requests

    def _group(self, name: str, metrics: dict[str, Any], usages: list[Any], requests: dict[str, bytes]) -> None:
        """Requests one by one. Costs stand in a list of their own, without names."""
        listed = metrics.get("costs")
        costs = listed if isinstance(listed, list) and len(listed) == len(usages) else [None] * len(usages)
        for index, (usage, price) in enumerate(zip(usages, costs, strict=True)):
            raw = numbers(usage)
            counters = read_usage(raw)
            if not isinstance(usage, dict) or (counters is None and not any(field in raw for field in FIELDS)):
                skip(self.parsed, MALFORMED)
            if counters is None:
                continue
            self.parsed.answer(metered=True)
            prompt, completion, read, written, _ = vector(raw)
            if contradicts(prompt, counters):
                skip(self.parsed, CONTRADICTORY)
            price = price if isinstance(price, dict) else {}
            response = text(usage.get("response_id"))
            at, quality = self._time(price, response)
            if at is None:
                skip(self.parsed, NO_TIME)
                continue
            what = (prompt, completion, read, written)
            identity = ("response", response, *what) if response else (self._id, text(name), index, *what)
            model = self._model(usage.get("model"), metrics)
            key = event_key(ID, *identity)
            requests.setdefault(response or "", key)
            self.parsed.events.append(
                EventRecord(
                    key=key,
                    session_key=self._session,
                    harness=ID,
                    at=at,
                    time_quality=quality,
                    provider=provider_of(model),
                    model=model,
                    project_path=self._project,
                    **msgspec.structs.asdict(counters),
                    reported_cost=cost(price.get("cost")),
                    reported_cost_unit="usd",
                    reported_cost_status="estimated",
                    family=series_key(ID, self._id, text(name) or ""),
                    session_started=self._started or LATEST,
                    identity=_encode(identity).decode(),
                    raw_usage=_encode(raw),
                )
            )

    def _total(self, name: str, metrics: dict[str, Any]) -> None:
        """A snapshot without lists has the sum of all requests only."""
        raw = {ACCUMULATED: numbers(metrics.get("accumulated_token_usage"))}
        counters = read_usage(raw)
        if counters is None:
            return
        self.parsed.answer(metered=True)
        at, quality = time_of(None, self._last, self._files, self._source.path)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        model = self._model(None, metrics)
        self.parsed.events.append(
            observation(
                ID,
                (self._id, text(name) or ""),
                vector(raw[ACCUMULATED]),
                counters,
                session_key=self._session,
                at=at,
                time_quality=quality,
                provider=provider_of(model),
                model=model,
                project_path=self._project,
                reported_cost=cost(metrics.get("accumulated_cost")),
                reported_cost_unit="usd",
                reported_cost_status="estimated",
                session_started=self._started or LATEST,
                raw_usage=_encode(raw),
            )
        )

    def _model(self, named: Any, metrics: dict[str, Any]) -> str | None:
        model = text(named) or text(metrics.get("model_name"))
        return None if model == "default" else model

    def _time(self, price: dict[str, Any], response: str | None) -> tuple[int | None, int]:
        """A cost's time is UTC, an event's is local: the first that there is; else the conversation's."""
        at = epoch(price.get("timestamp"), 1) or (self._said_at.get(response) if response else None)
        return time_of(at, self._started, self._files, self._source.path)
