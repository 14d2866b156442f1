"""Task folders of Cline and its forks, as discovery sees them (formats/cline.md, Task format). Light to import."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import WHOLE, Harness, SourceFile
from trueup_agent.harnesses.folders import children, is_dir, is_file

UI_MESSAGES = "ui_messages.json"
OLD_UI_MESSAGES = "claude_messages.json"  # 2024
API_HISTORY = "api_conversation_history.json"
METADATA = "task_metadata.json"
HISTORY_ITEM = "history_item.json"

_PLATFORMS = ("linux", "darwin", "win32")


def sources_of_tasks(harness: str, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
    """The tasks in a `tasks` folder, one folder each."""
    for task in folders_in(folder, errors):
        for name in (UI_MESSAGES, OLD_UI_MESSAGES):
            if is_file(task / name, errors.append):
                yield task_source(harness, task / name)
                break


def task_source(harness: str, path: Path) -> SourceFile:
    """The source of one list of messages. A task keeps its identity when its producer gives the list its new name."""
    task = path.parent
    identity = task / UI_MESSAGES if path.name == OLD_UI_MESSAGES else path
    companions = tuple(task / name for name in (API_HISTORY, METADATA, HISTORY_ITEM))
    return SourceFile(harness=harness, path=path, identity=str(identity), kind=WHOLE, companions=companions)


def is_task(path: Path, head: bytes) -> bool:
    """A list of messages by its name, or by its first entry under any other."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:4096]
    if path.suffix != ".json" or not start.startswith(b"["):
        return False
    if path.name in (UI_MESSAGES, OLD_UI_MESSAGES):
        return True
    return b'"ts"' in start and (b'"say"' in start or b'"ask"' in start)


def folders_in(folder: Path, errors: list[OSError]) -> list[Path]:
    return [child for child in children(folder, errors.append) if is_dir(child, errors.append)]


def folders_of_home(harness: Harness, root: Path) -> list[Path]:
    """Data folders that exist below a home of any platform: a home may hold the folders of several (WSL, a copy)."""
    named = (folder for platform in _PLATFORMS for folder in harness.data_folders(root, {}, platform))
    return existing(named)


def existing(folders: Iterable[Path]) -> list[Path]:
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def named_folder(environ: Mapping[str, str], variable: str) -> Path | None:
    """The folder that a variable names, where it is set and not empty."""
    return Path(environ[variable]).expanduser() if environ.get(variable) else None


def holds_tasks(folder: Path) -> bool:
    """Is it a folder of tasks? Looked at only for roots that somebody named."""
    names = (UI_MESSAGES, OLD_UI_MESSAGES)
    return any((task / name).is_file() for task in folders_in(folder, []) for name in names)
