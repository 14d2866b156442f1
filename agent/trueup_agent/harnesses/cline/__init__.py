"""Cline: extension of VS Code and JetBrains, standalone core, CLI and SDK (formats/cline.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses import editors, tasks
from trueup_agent.harnesses.base import WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import children

EXTENSION = "saoudrizwan.claude-dev"
LATE_IS_INCLUSIVE = False
SDK_END = ".messages.json"
TASK_HISTORY = "taskHistory.json"
_FOLDERS = ("tasks", "state", "sessions")


class Cline(Harness):
    """Tasks of the extension and the core, sessions of the CLI and the SDK, and the list of tasks with their places."""

    id = "cline"
    about = About(
        name="Cline",
        sources="JSON, rewritten; a folder per task (extension) or session (CLI and SDK)",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "cache_write_tokens": "exact; some providers report 0 for writes that they charge",
            "output_tokens": "exact; lower bound where a request was cancelled, derived where only sums are left",
            "context_tokens": "exact",
        },
        undercounts=("usage of requests that some providers answer without any",),
        verified=True,
        variables=("CLINE_DIR", "CLINE_DATA_DIR", "CLINE_SESSION_DATA_DIR"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        storages = editors.global_storage(home, environ, platform, EXTENSION)
        found = [storage / name for storage in storages for name in ("tasks", "state")]
        data = tasks.named_folder(environ, "CLINE_DATA_DIR")
        if data is None:
            data = (tasks.named_folder(environ, "CLINE_DIR") or home / ".cline") / "data"
        sessions = tasks.named_folder(environ, "CLINE_SESSION_DATA_DIR") or data / "sessions"
        return [*found, data / "tasks", data / "state", sessions]

    def folders_of_root(self, root: Path) -> list[Path]:
        found = tasks.folders_of_home(self, root)
        if not found:
            found = tasks.existing(top / name for top in (root, root / "data", root / EXTENSION) for name in _FOLDERS)
        return found or ([root] if tasks.holds_tasks(root) else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        yield from tasks.sources_of_tasks(self.id, folder, errors)
        for child in tasks.folders_in(folder, []):
            paths = children(child, errors.append)
            yield from (self._sdk_source(path) for path in paths if path.name.endswith(SDK_END))
        if folder.name == "state":
            history = folder / TASK_HISTORY
            yield self.source_at(history, WHOLE)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if path.name.endswith(SDK_END):
            return self._sdk_source(path) if b'"messages"' in head and b'"version"' in head else None
        if tasks.is_task(path, head):
            return tasks.task_source(self.id, path)
        if path.name == TASK_HISTORY and b'"tokensIn"' in head:
            return self.source_at(path, WHOLE)
        return None

    def _sdk_source(self, path: Path) -> SourceFile:
        manifest = path.with_name(path.name.removesuffix(SDK_END) + ".json")
        root_manifest = path.with_name(path.parent.name + ".json")  # of the session whose subagent this is
        companions = tuple(dict.fromkeys((manifest, root_manifest)))
        return self.source_at(path, WHOLE, companions)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        if source.path.name.endswith(SDK_END):
            from trueup_agent.harnesses.cline.sdk import SdkParser

            return SdkParser(source, files)
        if source.path.name == TASK_HISTORY:
            from trueup_agent.harnesses.cline.history import TaskHistoryParser

            return TaskHistoryParser(source, files)
        from trueup_agent.harnesses.tasks_parser import TaskFormat, TaskParser

        return TaskParser(source, TaskFormat(self.id, LATE_IS_INCLUSIVE), files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses import tasks_usage
        from trueup_agent.harnesses.cline import sdk_usage

        if (metrics := sdk_usage.of_raw(raw)) is not None:
            return metrics
        return tasks_usage.of_raw(raw, facts, LATE_IS_INCLUSIVE)


HARNESS = Cline()
