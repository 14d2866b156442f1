"""Where Gemini CLI and its forks keep conversations: `tmp/<project>/chats/`, subagents' in folders below."""

import re
from collections.abc import Iterator
from pathlib import Path

from trueup_agent.harnesses.base import LINES, WHOLE, Kind, SourceFile
from trueup_agent.harnesses.folders import children, is_dir, is_file, walk

PROJECT_ROOT, PROJECTS = ".project_root", "projects.json"
_CHATS = "chats"
_DOCUMENT, _JOURNAL = ".json", ".jsonl"
_SET_ASIDE = re.compile(r"\.(?:tmp|unreadable)-")
# Other tools keep documents under a name for lines: they begin with a brace alone, or all is in the first line.
_IS_DOCUMENT = re.compile(rb'\s*\{(?:\s*\n|(?!"\$)[^\n]*"messages"\s*:\s*\[)')


def is_chat(name: str) -> bool:
    """Damaged and half-written files are set aside under names of their own; the session goes on in another."""
    return name.endswith((_DOCUMENT, _JOURNAL)) and not _SET_ASIDE.search(name)


def chats_below(tmp: Path, errors: list[OSError]) -> Iterator[Path]:
    """Conversations of all projects."""
    for project in children(tmp, errors.append):
        chats = project / _CHATS
        if is_dir(chats, errors.append):
            for directory, _, names in walk(chats, errors.append):
                yield from (directory / name for name in names if is_chat(name))


def holds_chats(tmp: Path) -> bool:
    return any(is_dir(project / _CHATS) for project in children(tmp))


def source_of(harness: str, path: Path, head: bytes = b"") -> SourceFile:
    """With the file that says which directory the project is: its own, which never changes, else the list of all."""
    project = project_folder(path)
    companions: tuple[Path, ...] = ()
    if project is not None:
        own = project / PROJECT_ROOT
        companions = (own,) if is_file(own) else (project.parent.parent / PROJECTS,)
    kind: Kind = WHOLE if path.suffix == _DOCUMENT or _IS_DOCUMENT.match(head) else LINES
    return SourceFile(harness=harness, path=path, identity=str(path), kind=kind, companions=companions)


def project_folder(path: Path) -> Path | None:
    """`tmp/<project>` of a file below its `chats`; None for one that lies elsewhere."""
    parts = path.parts[:-1]
    if _CHATS not in parts[1:]:
        return None
    return Path(*parts[: len(parts) - 1 - parts[::-1].index(_CHATS)])


def parent_session(path: Path) -> str | None:
    """Subagents lie in a folder that is named after the session which started them."""
    folder = project_folder(path)
    below = path.relative_to(folder / _CHATS).parts[:-1] if folder is not None else ()
    return below[-1] if below else None
