"""Roo Code and Zoo Code, forks of Cline in VS Code (formats/roocode.md)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trueup_agent.harnesses import editors
from trueup_agent.harnesses.base import About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import read_small
from trueup_agent.harnesses.tasks import existing, folders_of_home, holds_tasks, is_task, sources_of_tasks, task_source

EXTENSIONS = ("rooveterinaryinc.roo-cline", "zoocodeorganization.zoo-code")
LATE_IS_INCLUSIVE = True
# The editor's settings are JSON with comments: a setting is looked for by its name.
_CUSTOM = re.compile(rb'"(?:roo-cline|zoo-code)\.customStoragePath"\s*:\s*("(?:[^"\\]|\\.)*")')


class RooCode(Harness):
    """A task is a folder. Subtasks are tasks of their own, linked by the history item of each."""

    id = "roocode"
    about = About(
        name="Roo Code",
        sources="JSON, rewritten; a folder per task",
        counters={
            "input_tokens": "exact; as logged where an old version does not say if it includes the cache",
            "cache_read_tokens": "exact",
            "cache_write_tokens": "exact",
            "output_tokens": "exact; lower bound where a request was cancelled",
            "context_tokens": "exact",
        },
        undercounts=(
            "tokens of a request that condensed the context: only its cost",
            "requests that were deleted before they were read",
        ),
        verified=False,
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        users = editors.user_folders(home, environ, platform)
        custom = (_custom_storage(user) for user in users)
        usual = [user / "globalStorage" / extension for user in users for extension in EXTENSIONS]
        return [folder / "tasks" for folder in dict.fromkeys([*usual, *(path for path in custom if path)])]

    def folders_of_root(self, root: Path) -> list[Path]:
        below = [root / extension / "tasks" for extension in EXTENSIONS]
        found = folders_of_home(self, root) or existing([root / "tasks", *below])
        return found or ([root] if holds_tasks(root) else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        return sources_of_tasks(self.id, folder, errors)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        return task_source(self.id, path) if is_task(path, head) else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.tasks_parser import TaskFormat, TaskParser

        return TaskParser(source, TaskFormat(self.id, LATE_IS_INCLUSIVE), files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses import tasks_usage

        return tasks_usage.of_raw(raw, facts, LATE_IS_INCLUSIVE)


HARNESS = RooCode()


def _custom_storage(user: Path) -> Path | None:
    """Where a setting of the editor moved the tasks to."""
    settings = read_small(user / "settings.json")
    found = _CUSTOM.search(settings) if settings else None
    if found is None:
        return None
    try:
        path = msgspec.json.decode(found.group(1))
    except (msgspec.DecodeError, ValueError):
        return None
    return Path(path).expanduser() if path else None
