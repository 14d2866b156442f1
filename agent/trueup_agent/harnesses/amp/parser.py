"""Parser of an Amp thread (formats/amp.md). The usage of messages counts; the ledger only where a message has none."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.amp import usage as amp_usage
from trueup_agent.harnesses.base import (
    CONTRADICTORY,
    MALFORMED,
    NO_TIME,
    Files,
    SourceFile,
    count_unknown,
    skip,
)
from trueup_agent.harnesses.content import said
from trueup_agent.harnesses.editors import path_of_uri
from trueup_agent.harnesses.json_text import object_at
from trueup_agent.harnesses.values import amount, counter, epoch, micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

_PIECE = 2000
_BRANCH = "refs/heads/"
_NUMBER = re.compile(r"\d{1,15}")
_encode = msgspec.json.Encoder().encode

Id = str | int


class _Moment(Struct, frozen=True):
    at: int | None
    quality: int = 1


class AmpParser:
    """`base.WholeParser` for one thread. Editing a thread uses the ids of its messages again."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._harness, self._path, self._files = source.harness, source.path, files
        self._parsed = Parsed()

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        thread = json_text.read_document(self._files, self._path)
        self._parsed = Parsed()
        messages = thread.get("messages") if isinstance(thread, Mapping) else None
        if not isinstance(thread, Mapping) or not isinstance(messages, list):
            self._parsed.lines += 1
            skip(self._parsed, MALFORMED)
            yield self._parsed
            return
        self._begin(thread)
        ledger = json_text.objects(object_at(thread, "usageLedger").get("events"))
        self._by_message: dict[Id | None, list[Mapping[str, Any]]] = {}
        for event in ledger:
            self._by_message.setdefault(_id(event.get("toMessageId")), []).append(event)
        counted: set[Id | None] = set()
        for number, message in enumerate(messages):
            self._parsed.lines += 1
            if not isinstance(message, Mapping):
                skip(self._parsed, MALFORMED)
            elif self._message(number, message):
                counted.add(_id(message.get("messageId")))
            if len(self._parsed.messages) >= _PIECE:
                yield self._parsed
                self._parsed = Parsed()
        for event in ledger:
            self._parsed.lines += 1
            to = _id(event.get("toMessageId"))
            if to is None or to not in counted:
                self._ledger_event(event, to)
        yield self._parsed

    def _begin(self, thread: Mapping[str, Any]) -> None:
        self._thread = text(thread.get("id")) or text(self._path.stem) or "thread"
        self._session_key = keys.session_key(self._harness, self._thread)
        self._created = epoch(thread.get("created"), 1000)
        tree = next(iter(json_text.objects(object_at(thread, "env", "initial").get("trees"))), {})
        self._cwd = _path_of(tree.get("uri"))
        ref = text(object_at(tree, "repository").get("ref"))
        self._sent_raw: int | None = None
        self._sent = _Moment(self._created, 2)
        self._parsed.sessions.append(
            SessionRecord(
                key=self._session_key,
                harness=self._harness,
                session_id=self._thread,
                started_at=self._created,
                project_path=self._cwd,
                git_branch=ref.removeprefix(_BRANCH) if ref else None,
                title=text(thread.get("title"), 200),
            )
        )

    def _message(self, number: int, message: Mapping[str, Any]) -> bool:
        """Has it usage of its own?"""
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            count_unknown(self._parsed, role)
            return False
        id_ = _id(message.get("messageId"))
        named: Id = id_ if id_ is not None else f"#{number}"
        moment, event_key, model = self._sent, None, None
        if role == "user":
            sent = object_at(message, "meta").get("sentAt")
            if (at := epoch(sent, 1000)) is not None:
                self._sent, self._sent_raw = _Moment(at, 2), counter(sent)
                moment = self._sent
        elif role == "assistant":
            moment, event_key, model = self._answer(message, id_, named)
        told = said(role, message.get("content"))
        self._parsed.messages.append(
            MessageRecord(
                # With the time of the prompt: an edited one has new messages under the same ids.
                key=keys.message_key(self._harness, self._thread, named, self._sent_raw),
                session_key=self._session_key,
                harness=self._harness,
                at=moment.at,
                **told._asdict(),
                model=model,
                event_key=event_key,
                project_path=self._cwd,
                session_started=self._created or 0,
            )
        )
        return event_key is not None

    def _answer(
        self, message: Mapping[str, Any], id_: Id | None, named: Id
    ) -> tuple[_Moment, bytes | None, str | None]:
        found = message.get("usage")
        ledger = self._by_message.get(id_, []) if id_ is not None else []
        raw = amp_usage.kept(found) if isinstance(found, Mapping) else {}
        counters = amp_usage.read(raw)
        model = text(raw.get("model"))
        if not counters.reported():
            is_complete = object_at(message, "state").get("type") == "complete"
            if is_complete and "inputTokens" not in raw and not ledger:
                self._parsed.answer(metered=False)
            at = _time(ledger[0].get("timestamp")) if ledger else None
            return (_Moment(at) if at is not None else self._sent), None, model
        self._parsed.answer(metered=True)
        if amp_usage.differs_from_total(raw):
            skip(self._parsed, CONTRADICTORY)
        stamp = object_at(found).get("timestamp")
        at = _time(stamp)
        if at is None and ledger:
            at = _time(ledger[0].get("timestamp"))
        moment = _Moment(at) if at is not None else self._sent
        if "credits" not in raw and len(ledger) == 1:
            raw |= {name: value for name, value in amp_usage.kept_of_ledger(ledger[0]).items() if name == "credits"}
        identity = [self._thread, named, text(stamp, 64) or counter(stamp)]
        return moment, self._event(identity, moment, model, raw, self._family(named, _time(stamp)), rank=0), model

    def _ledger_event(self, event: Mapping[str, Any], to: Id | None) -> None:
        raw = amp_usage.kept_of_ledger(event)
        counters, at = amp_usage.read(raw), _time(event.get("timestamp"))
        if not counters.reported() and not amp_usage.credits_of(raw):
            return
        if counters.reported():
            self._parsed.answer(metered=True)
        id_ = _id(event.get("id"))
        identity = [self._thread, "ledger", *((id_,) if id_ is not None else (to, text(event.get("timestamp"), 64)))]
        moment = _Moment(at) if at is not None else _Moment(self._created, 2)
        self._event(identity, moment, text(raw.get("model")), raw, self._family(to, at), rank=1)

    def _family(self, message: Id | None, at: int | None) -> bytes | None:
        """An inference may be known from its message and, when that was deleted, from the ledger."""
        return None if message is None else keys.key("family", self._harness, self._thread, message, at)

    def _event(
        self,
        identity: list[Id | None],
        moment: _Moment,
        model: str | None,
        raw: dict[str, Any],
        family: bytes | None,
        rank: int,
    ) -> bytes | None:
        if moment.at is None:
            skip(self._parsed, NO_TIME)
            return None
        key = keys.event_key(self._harness, *identity)
        paid = amp_usage.credits_of(raw)
        self._parsed.events.append(
            EventRecord(
                key=key,
                session_key=self._session_key,
                harness=self._harness,
                at=moment.at,
                time_quality=moment.quality,
                model=model,
                project_path=self._cwd,
                **msgspec.structs.asdict(amp_usage.read(raw)),
                reported_cost=None if paid is None else amount(paid),
                reported_cost_unit=None if paid is None else "credits",
                reported_cost_status=None if paid is None else "reported",
                family=family,
                rank=rank,
                session_started=self._created or 0,
                identity=_encode(identity).decode(),
                raw_usage=_encode(raw),
            )
        )
        return key


def _id(value: Any) -> Id | None:
    """A ledger may write the number of a message as text."""
    number = counter(int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value)
    return number if number is not None else text(value, 128)


def _time(value: Any) -> int | None:
    return micros(value) if isinstance(value, str) else epoch(value, 1000)


def _path_of(uri: Any) -> str | None:
    return text(path_of_uri(uri)) if isinstance(uri, str) and uri.startswith("file://") else None
