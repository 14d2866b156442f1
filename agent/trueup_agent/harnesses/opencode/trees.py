"""The trees of small files that came before the database, as discovery sees them. Light to import.

`storage/session/<project>/<session>.json`, `storage/message/<session>/<message>.json`, `storage/part/<message>/`. The
first had, below `project/<name>/storage/session`: `info/<session>.json`, `message/<session>/`, `part/<session>/…`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from trueup_agent.harnesses.base import WHOLE, SourceFile
from trueup_agent.harnesses.folders import children, is_dir

_SESSION = re.compile(rb'\s*\{.{0,4000}?"(?:projectID|directory)"\s*:', re.S)
_MESSAGE = re.compile(rb'\s*\{.{0,4000}?"sessionID"\s*:', re.S)


def is_tree(storage: Path) -> bool:
    return is_dir(storage / "message") or (is_dir(storage / "session") and is_dir(storage / "part"))


def sources_of_tree(harness: str, storage: Path, errors: list[OSError]) -> Iterator[SourceFile]:
    """One source per session, and per folder of messages whose session is not there."""
    claimed = set()
    for project in names(storage / "session", errors):
        for name in names(storage / "session" / project, []):
            if name.endswith(".json"):
                folder = _message_folder(storage, name.removesuffix(".json"))
                claimed.add(folder.name)
                yield _source(harness, storage, storage / "session" / project / name, folder)
    for name in names(storage / "message", errors):
        if name not in claimed and is_dir(storage / "message" / name):
            yield _source(harness, storage, storage / "message" / name, storage / "message" / name)


def sources_of_projects(harness: str, data: Path, errors: list[OSError]) -> Iterator[SourceFile]:
    """The first layout, a tree per project. What was migrated from it has the same ids."""
    for project in names(data / "project", errors):
        top = data / "project" / project / "storage" / "session"
        for name in names(top / "info", []):
            session = name.removesuffix(".json")
            if session != name:
                parts = top / "part" / session
                yield _source(harness, top, top / "info" / name, top / "message" / session, parts)


def recognised(harness: str, path: Path, head: bytes) -> SourceFile | None:
    """The session that a file of a tree belongs to; a message speaks for it only where it is not there."""
    if path.suffix != ".json" or len(path.parents) < 3:
        return None
    storage, kind = path.parents[2], path.parents[1].name
    if kind == "session" and _SESSION.match(head) and is_dir(storage / "message"):
        return _source(harness, storage, path, _message_folder(storage, path.stem))
    if kind == "message" and _MESSAGE.match(head) and not _session_of(storage, path.parent.name):
        return _source(harness, storage, path.parent, path.parent)
    return None


def names(folder: Path, errors: list[OSError]) -> list[str]:
    return [entry.name for entry in children(folder, errors.append)]


def _source(harness: str, storage: Path, path: Path, messages: Path, parts: Path | None = None) -> SourceFile:
    """`path`: the session's file or, where that is gone, its folder of messages."""
    folders = [(parts or storage / "part") / name.removesuffix(".json") for name in names(messages, [])]
    # A session moves to another project's folder when its directory becomes a repository.
    identity = path if path == messages else storage / "session" / path.name
    return SourceFile(harness=harness, path=path, identity=str(identity), kind=WHOLE, companions=(messages, *folders))


def _message_folder(storage: Path, session: str) -> Path:
    folder = storage / "message" / session
    bare = storage / "message" / session.removeprefix("ses_")
    return bare if not is_dir(folder) and is_dir(bare) else folder


def _session_of(storage: Path, session: str) -> bool:
    """Is there a session for that folder of messages?"""
    if is_dir(storage / "info"):
        return f"{session}.json" in names(storage / "info", [])
    return any(
        f"{name}.json" in names(storage / "session" / project, [])
        for project in names(storage / "session", [])
        for name in (session, f"ses_{session}")
    )
