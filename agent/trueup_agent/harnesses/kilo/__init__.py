"""Kilo Code (formats/kilo.md): since early 2026 a store like OpenCode's, before that task folders like Roo Code's."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses import editors, tasks
from trueup_agent.harnesses.base import About, Facts, Files, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.opencode import COUNTERS, OpenCode

EXTENSION = "kilocode.kilo-code"
_LEGACY = "legacy"  # in keys and session ids of tasks: an import gives them new ids in the store, without their usage
_LATE_IS_INCLUSIVE = True


class Kilo(OpenCode):
    id = "kilo"
    about = About(
        name="Kilo Code",
        sources="SQLite; JSON files in the older tree and, before 2026, a folder per task",
        counters=COUNTERS | {"output_tokens": "exact; lower bound where a task was cancelled"},
        undercounts=(
            "requests for titles",
            "messages that were undone or deleted before they were read",
            "tokens of a request that condensed a task's context",
        ),
        verified=False,
        variables=("XDG_DATA_HOME", "KILO_DB"),
    )
    app = "kilo"
    # The first builds kept the name of what they came from.
    databases = re.compile(r"(?:kilo|opencode)(?:-[\w.-]+)?\.db")
    override = "KILO_DB"
    folds_costs = True

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        storages = editors.global_storage(home, environ, platform, EXTENSION)
        cli = home / ".kilocode" / "cli" / "global"
        return super().data_folders(home, environ, platform) + [storage / "tasks" for storage in (*storages, cli)]

    def folders_of_root(self, root: Path) -> list[Path]:
        below = tasks.existing([root / "tasks", root / EXTENSION / "tasks", root / "cli" / "global" / "tasks"])
        found = tasks.folders_of_home(self, root) or super().folders_of_root(root) or below
        return found or ([root] if tasks.holds_tasks(root) else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if folder.name == "tasks" or tasks.holds_tasks(folder):
            return tasks.sources_of_tasks(self.id, folder, errors)
        return super().sources(folder, errors)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        return tasks.task_source(self.id, path) if tasks.is_task(path, head) else super().recognise(path, head)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        if not any(path.name == tasks.API_HISTORY for path in source.companions):
            return super().parser(source, state, files)
        from trueup_agent.harnesses.tasks_parser import TaskFormat, TaskParser

        return TaskParser(source, TaskFormat(self.id, _LATE_IS_INCLUSIVE, _LEGACY), files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        if raw.startswith(b'{"tokens":'):
            return super().usage(raw, facts)
        from trueup_agent.harnesses import tasks_usage

        return tasks_usage.of_raw(raw, facts, _LATE_IS_INCLUSIVE)


HARNESS = Kilo()
