"""Conversations that log no requests: the terminal agent's (`store.db`) and the chat tabs of 2023 and 2024."""

from collections.abc import Iterator
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, Files, SourceFile, skip
from trueup_agent.harnesses.cursor.folders import workspace_folder
from trueup_agent.harnesses.values import epoch, text
from trueup_agent.records import MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

_META = "SELECT value FROM meta ORDER BY key"
_TABS = "workbench.panel.aichat.view.aichat.chatdata"
_ROLES = {"user": ("user", "prompt"), "ai": ("assistant", "answer")}


class CliChat:
    """`base.WholeParser` of a `store.db`: name and time of a conversation. What was said is in its transcript."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._source, self._files = source, files

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        parsed = Parsed()
        database = self._files.database(self._source.path)
        rows = database.rows(_META) if "value" in database.columns("meta") else []
        for (value,) in rows:
            parsed.lines += 1
            said = _unhexed(value)
            if said is None:
                skip(parsed, MALFORMED)
            elif id_ := text(said.get("agentId")):
                parsed.sessions.append(
                    SessionRecord(
                        key=keys.session_key("cursor", id_),
                        harness="cursor",
                        session_id=id_,
                        started_at=epoch(said.get("createdAt"), 1000),
                        title=text(said.get("name")),
                    )
                )
        yield parsed


class ChatTabs:
    """`base.WholeParser` of a workspace's store. Tabs say neither when nor by which request something was said."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        self._source, self._files = source, files
        self._size = int(state or b"0")

    def state(self) -> bytes:
        return str(self._size).encode()

    def read(self, everything: bool) -> Iterator[Parsed]:
        parsed = Parsed()
        database = self._files.database(self._source.path)
        if database.columns("ItemTable"):
            for (size,) in database.rows("SELECT length(value) FROM ItemTable WHERE key = ?", (_TABS,)):
                if everything or size != self._size:
                    ((value,),) = database.rows("SELECT value FROM ItemTable WHERE key = ?", (_TABS,)) or (("",),)
                    self._tabs(value, parsed)
                self._size = size or 0
        yield parsed

    def _tabs(self, value: Any, parsed: Parsed) -> None:
        said = json_text.object_of(value)
        if said is None:
            parsed.lines += 1
            skip(parsed, MALFORMED)
            return
        folders = [workspace_folder(self._files, path) for path in self._source.companions]
        folder = next((folder for folder in folders if folder), None)
        tabs = said.get("tabs")
        for tab in tabs if isinstance(tabs, list) else ():
            id_ = text(tab.get("tabId")) if isinstance(tab, dict) else None
            bubbles = tab.get("bubbles") if id_ is not None else None
            if id_ is not None and isinstance(bubbles, list) and bubbles:
                self._tab(id_, tab, bubbles, folder, parsed)

    def _tab(self, id_: str, tab: dict[str, Any], bubbles: list[Any], folder: str | None, parsed: Parsed) -> None:
        key = keys.session_key("cursor", id_)
        parsed.sessions.append(
            SessionRecord(
                key=key, harness="cursor", session_id=id_, project_path=folder, title=text(tab.get("chatTitle"))
            )
        )
        for number, bubble in enumerate(bubbles):
            parsed.lines += 1
            kind = bubble.get("type") if isinstance(bubble, dict) else None
            if not isinstance(kind, str) or kind not in _ROLES:
                skip(parsed, MALFORMED)
                continue
            words = next((w for name in ("rawText", "text") if isinstance(w := bubble.get(name), str)), "")
            role, what = _ROLES[kind]
            parsed.messages.append(
                MessageRecord(
                    key=keys.message_key("cursor", id_, number),
                    session_key=key,
                    harness="cursor",
                    at=None,
                    role=role,
                    kind=what,
                    model=text(bubble.get("modelType")),
                    size_chars=len(words),
                    project_path=folder,
                )
            )


def _unhexed(value: Any) -> dict[str, Any] | None:
    """JSON as hexadecimal digits, or as it is."""
    said = json_text.object_of(value)
    if said is not None:
        return said
    try:
        return json_text.object_of(bytes.fromhex(value if isinstance(value, str) else bytes(value).decode()))
    except (TypeError, ValueError):
        return None
