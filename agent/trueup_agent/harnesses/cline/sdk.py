"""Parser of a session of Cline's CLI and SDK: `<id>.messages.json` beside its manifest (formats/cline.md)."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses import json_text, series, tasks_usage
from trueup_agent.harnesses.base import (
    CONTRADICTORY,
    MALFORMED,
    NO_TIME,
    Files,
    SourceFile,
    Unfinished,
    count_unknown,
    skip,
)
from trueup_agent.harnesses.cline import SDK_END, sdk_usage
from trueup_agent.harnesses.content import said
from trueup_agent.harnesses.json_text import object_at, objects
from trueup_agent.harnesses.values import amount, counter, epoch, micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

_PIECE = 2000
_SUBAGENT = "__"  # between the id of a session and that of its subagent
_encode = msgspec.json.Encoder().encode


class SdkParser:
    """`base.WholeParser`. A fork copies messages with their ids, so that keys of messages hold across sessions."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._harness, self._path, self._files = source.harness, source.path, files
        self._parsed = Parsed()

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        document = json_text.read_document(self._files, self._path)
        self._parsed = Parsed()
        messages = document.get("messages") if isinstance(document, Mapping) else document
        if not isinstance(messages, list):
            self._parsed.lines += 1
            skip(self._parsed, MALFORMED)
            yield self._parsed
            return
        self._begin(document if isinstance(document, Mapping) else {}, messages)
        for number, message in enumerate(messages):
            self._parsed.lines += 1
            self._message(number, message)
            if len(self._parsed.messages) >= _PIECE:
                yield self._parsed
                self._parsed = Parsed()
        if self._has_sums:
            self._sums(messages)
        yield self._parsed

    def _begin(self, document: Mapping[str, Any], messages: list[Any]) -> None:
        stem = self._path.name.removesuffix(SDK_END)
        folder = self._path.parent.name
        self._session_id = text(document.get("sessionId")) or text(stem) or "session"
        manifest = self._manifest(stem)
        is_subagent = _SUBAGENT in self._session_id and self._session_id.startswith(folder + _SUBAGENT)
        told = manifest if manifest or not is_subagent else self._manifest(folder)
        metadata = object_at(manifest, "metadata")
        fork = text(object_at(metadata, "fork").get("forkedFromSessionId"))
        parent = folder if is_subagent else text(manifest.get("parent_session_id")) or fork
        times = (at for message in objects(messages) if (at := epoch(message.get("ts"), 1000)) is not None)
        first = next(times, None)
        begun = None if is_subagent and not manifest else micros(manifest.get("started_at"))
        # What a fork has from before it began is a copy; any other session began no later than its first message.
        self._copied_before = begun if fork is not None and fork != self._session_id else None
        self._started = (
            begun if begun is not None and (self._copied_before or first is None or begun < first) else first
        )
        self._session_key = keys.session_key(self._harness, self._session_id)
        self._cwd = text(told.get("cwd")) or text(told.get("workspace_root"))
        self._provider, self._model = text(told.get("provider")), text(told.get("model"))
        self._usage_sums = object_at(metadata, "usage")
        self._ended = micros(manifest.get("ended_at")) or micros(document.get("updated_at"))
        self._fork = fork
        has_metrics = any(isinstance(m.get("metrics"), Mapping) for m in objects(messages))
        self._has_sums = not has_metrics and sdk_usage.read(sdk_usage.kept(self._usage_sums))[0].reported()
        self._parsed.sessions.append(
            SessionRecord(
                key=self._session_key,
                harness=self._harness,
                session_id=self._session_id,
                parent_key=keys.session_key(self._harness, parent) if parent else None,
                relationship=("fork" if parent == fork else "subagent") if parent else None,
                started_at=self._started,
                project_path=self._cwd,
                title=text(metadata.get("title"), 200),
            )
        )

    def _manifest(self, stem: str) -> Mapping[str, Any]:
        """Beside the messages, wherever `messages_path` says they once were."""
        content = self._files.read(self._path.with_name(stem + ".json"))
        if content is None:
            return {}
        try:
            return object_at(json_text.decode_document(content))
        except (Unfinished, *json_text.UNREADABLE):
            return {}

    def _message(self, number: int, message: Any) -> None:
        role = message.get("role") if isinstance(message, Mapping) else None
        if role is None:
            skip(self._parsed, MALFORMED)
            return
        if role not in ("user", "assistant", "system"):
            count_unknown(self._parsed, role)
            return
        at = epoch(message.get("ts"), 1000)
        id_, ts = text(message.get("id")), counter(message.get("ts"))
        known = id_ is not None and ts is not None
        identity: list[str | int | None] = [id_, ts] if known else [self._session_id, id_ or number, ts]
        copy = int(at is not None and self._copied_before is not None and at < self._copied_before)
        info = object_at(message, "modelInfo")
        model = text(info.get("id")) or (self._model if role == "assistant" and not copy else None)
        provider = text(info.get("provider")) or (self._provider if model is not None else None)
        event_key = None
        if role == "assistant":
            event_key = self._event(message, identity, at, copy, provider, model)
        told = said(role, message.get("content"))
        if role != "assistant" and str(object_at(message, "metadata").get("kind", "")).startswith("compaction"):
            told = told._replace(kind="summary")
        self._parsed.messages.append(
            MessageRecord(
                key=keys.message_key(self._harness, "sdk", *identity),
                session_key=self._session_key,
                harness=self._harness,
                at=at if at is not None else self._started,
                model=model if role == "assistant" else None,
                **told._asdict(),
                event_key=event_key,
                project_path=self._cwd,
                copy=copy,
                session_started=self._started or 0,
            )
        )

    def _event(
        self,
        message: Mapping[str, Any],
        identity: list[str | int | None],
        at: int | None,
        copy: int,
        provider: str | None,
        model: str | None,
    ) -> bytes | None:
        """The key of the message's usage event; None where it has none."""
        metrics = message.get("metrics")
        raw = sdk_usage.kept(metrics) if isinstance(metrics, Mapping) else {}
        usage, is_contradictory = sdk_usage.read(raw)
        if is_contradictory:
            skip(self._parsed, CONTRADICTORY)
        if not usage.reported():
            if not self._has_sums and "inputTokens" not in raw:
                self._parsed.answer(metered=False)
            return None
        self._parsed.answer(metered=True)
        quality = 1 if at is not None else 2
        at = at if at is not None else self._started
        if at is None:
            skip(self._parsed, NO_TIME)
            return None
        named = ["sdk", *identity, *(counter(raw.get(name)) for name in sdk_usage.COUNTERS)]
        key = keys.event_key(self._harness, *named)
        self._parsed.events.append(
            EventRecord(
                key=key,
                session_key=self._session_key,
                harness=self._harness,
                at=at,
                time_quality=quality,
                provider=provider,
                model=model,
                project_path=self._cwd,
                **msgspec.structs.asdict(usage),
                **_cost(raw, provider),
                family=series.series_key(self._harness, self._session_id),
                copy=copy,
                session_started=self._started or 0,
                identity=_encode(named).decode(),
                raw_usage=_encode(raw),
            )
        )
        return key

    def _sums(self, messages: list[Any]) -> None:
        """No message has metrics: what the manifest says of the session so far is a running total."""
        raw = sdk_usage.kept(self._usage_sums, is_sum=True)
        usage, is_contradictory = sdk_usage.read(raw)
        if is_contradictory:
            skip(self._parsed, CONTRADICTORY)
        last = [at for message in objects(messages) if (at := epoch(message.get("ts"), 1000)) is not None]
        at = max(last, default=None) or self._ended or self._started
        if at is None:
            skip(self._parsed, NO_TIME)
            return
        self._parsed.answer(metered=True)
        self._parsed.events.append(
            series.observation(
                self._harness,
                [self._session_id],
                [counter(raw.get(name)) for name in sdk_usage.COUNTERS],
                usage,
                session_key=self._session_key,
                at=at,
                time_quality=1 if last else 2,
                provider=self._provider,
                model=self._model,
                project_path=self._cwd,
                **_cost(raw, self._provider),
                after=series.series_key(self._harness, self._fork) if self._fork else None,
                session_started=self._started or 0,
                raw_usage=_encode(raw),
            )
        )


def _cost(raw: Mapping[str, Any], provider: str | None) -> dict[str, Any]:
    cost = sdk_usage.cost_of(raw)
    reported = None if cost is None else amount(cost)
    if reported is None:
        return {}
    return {
        "reported_cost": reported,
        "reported_cost_unit": "usd",
        "reported_cost_status": tasks_usage.cost_status(provider),
    }
