"""What a reader of a wire.jsonl carries from one line to the next, and what lies beside the file."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Files, SourceFile
from trueup_agent.harnesses.kimi.place import Place, place_of
from trueup_agent.harnesses.twins import Twins
from trueup_agent.harnesses.values import LATEST, MAX_PATH, text
from trueup_agent.records import SessionRecord
from trueup_shared.keys import session_key

ID = "kimi"
_FORKS = ("Fork: ", "Undo: ")  # what /fork and /undo put before the title of the session that they copied


class Step(Struct):
    """An answer of the model while it is being written."""

    is_open: bool = False
    size: int = 0
    tools: list[str] = []


class Told(Struct):
    """Usage that the other kind of record may still repeat."""

    kind: str
    vector: tuple[int | None, ...]
    identity: tuple[str | int | None, ...]


class State(Struct):
    """Everything that the next line may depend on."""

    session_id: str
    parent_id: str | None = None
    relationship: str | None = None
    copy: int = 0
    started_at: int | None = None
    project: str | None = None
    title: str | None = None
    model: str | None = None
    alias: str | None = None
    provider: str | None = None
    step: Step = msgspec.field(default_factory=Step)
    told: Told | None = None
    twins: Twins = msgspec.field(default_factory=Twins)

    def precedence(self) -> int:
        return self.started_at or LATEST

    def record(self) -> SessionRecord:
        return SessionRecord(
            key=session_key(ID, self.session_id),
            harness=ID,
            session_id=self.session_id,
            parent_key=session_key(ID, self.parent_id) if self.parent_id else None,
            relationship=self.relationship,
            started_at=self.started_at,
            project_path=self.project,
            title=self.title,
        )


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


def begin(source: SourceFile, files: Files) -> State:
    """Before the first line: what the path and the files beside it say of the session."""
    place = place_of(source.path)
    s = State(place.session_id, place.parent_id, place.relationship)
    document = _document(place.state_file, source, files)
    title = text(document.get("custom_title")) or text(document.get("title"))
    if place.parent_id is None:
        s.title = title
    if place.registry is not None and title is not None and title.startswith(_FORKS):
        s.copy, s.relationship = 1, "fork"
    s.project = text(document.get("workDir"), MAX_PATH) or _directory(place, source, files)
    agents = document.get("agents")
    agent = agents.get(place.agent_id) if isinstance(agents, dict) else None
    parent = text(agent.get("parentAgentId")) if isinstance(agent, dict) else None
    if place.parent_id is not None and parent is not None and parent != "main":
        s.parent_id = f"{place.parent_id}/{parent}"
    return s


def _directory(place: Place, source: SourceFile, files: Files) -> str | None:
    """The working directory whose hash Kimi CLI gave to the folder of its sessions."""
    directories = _document(place.registry, source, files).get("work_dirs")
    for entry in directories if isinstance(directories, list) else ():
        path = text(entry.get("path"), MAX_PATH) if isinstance(entry, dict) else None
        if path is not None and place.folder is not None:
            digest = hashlib.md5(path.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
            if place.folder.split("_")[-1] == digest:
                return path
    return None


def _document(path: Path | None, source: SourceFile, files: Files) -> dict[str, Any]:
    """A JSON object beside the log; what cannot be read tells nothing, and costs nothing that the log says."""
    try:
        raw = files.read(path) if path is not None and path in source.companions else None
        document = json_text.decode(raw) if raw else None
    except (OSError, *json_text.UNREADABLE):
        return {}
    return document if isinstance(document, dict) else {}
