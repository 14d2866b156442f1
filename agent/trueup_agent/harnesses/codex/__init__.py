"""OpenAI Codex: CLI, IDE extension, desktop app and `codex exec` (formats/codex.md)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trueup_agent.harnesses.base import About, Facts, Files, Harness, LineParser, SourceFile, Usage
from trueup_agent.harnesses.folders import walk

PLAIN, COMPRESSED = ".jsonl", ".jsonl.zst"
_FOLDERS = ("sessions", "archived_sessions")
_ROLLOUT = re.compile(r"rollout-.+-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
_ENVELOPES = {"session_meta", "turn_context", "response_item", "event_msg", "compacted", "token_usage_record"}
_STREAM = {"thread.started", "turn.started", "turn.completed", "item.completed"}
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_HEAD_RECORDS = 5
_decode = msgspec.json.Decoder().decode


class Codex(Harness):
    """A thread is one file wherever it lies: live, archived or compressed."""

    id = "codex"
    about = About(
        name="OpenAI Codex",
        sources="JSONL, appended; archived and compressed (.zst) as well",
        counters={
            "input_tokens": "exact; derived where only the running total moved",
            "cache_read_tokens": "exact; derived like input",
            "cache_write_tokens": "exact, where it is logged",
            "output_tokens": "exact; derived like input",
            "reasoning_tokens": "exact; derived like input",
            "context_tokens": "exact",
        },
        undercounts=("requests for automatic review, titles and web search",),
        verified=True,
        variables=("CODEX_HOME",),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        root = Path(environ["CODEX_HOME"]).expanduser() if environ.get("CODEX_HOME") else home / ".codex"
        return [root / name for name in _FOLDERS]

    def folders_of_root(self, root: Path) -> list[Path]:
        if (root / ".codex").is_dir():
            return [root / ".codex" / name for name in _FOLDERS]
        found = [root / name for name in _FOLDERS if (root / name).is_dir()]
        if found:
            return found
        return [root] if root.name in _FOLDERS or _holds_rollouts(root) else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        live = folder.parent / _FOLDERS[0] if folder.name == _FOLDERS[1] else None
        for path in _files_below(folder, errors):
            stem = path.name.removesuffix(".zst").removesuffix(PLAIN)
            if live is not None and any(_lies(place, stem) for place in _places(live, stem)):
                continue  # archived and live: it is read where it lives
            # A rollout keeps its name when it is archived or compressed, so that neither makes it a new source.
            homely = _ROLLOUT.match(stem) and path.parent in (folder, *_places(folder, stem))
            identity = str(folder.parent / stem) if homely else str(path)
            compressed = path.name.endswith(COMPRESSED)
            yield SourceFile(harness=self.id, path=path, identity=identity, compressed=compressed)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        compressed = path.name.endswith(COMPRESSED)
        if compressed:
            fits = path.name.startswith("rollout-") and head[:4] == _ZSTD_MAGIC
        else:
            lines = [line for line in head.split(b"\n")[:_HEAD_RECORDS] if line.strip()]
            fits = path.suffix == PLAIN and any(_fits(line, path.name.startswith("rollout-")) for line in lines)
        return SourceFile(harness=self.id, path=path, identity=str(path), compressed=compressed) if fits else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser:
        from trueup_agent.harnesses.codex.parser import CodexParser

        return CodexParser(source.path, state)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.codex.stored import of_raw

        return of_raw(raw, facts)


HARNESS = Codex()


def _files_below(top: Path, errors: list[OSError]) -> Iterator[Path]:
    """Logs by their names, in order. Beside a compressed log its plain form is the live one."""
    for directory, below, names in walk(top, errors.append, follow_links=False):
        below[:] = [name for name in below if "." not in name]
        beside = set(names)
        for name in names:
            if name.endswith(PLAIN) or (name.endswith(COMPRESSED) and name.removesuffix(".zst") not in beside):
                yield directory / name


def _places(live: Path, stem: str) -> tuple[Path, Path]:
    """Where a rollout lies among the live ones: a folder per local day, in the first builds none."""
    return live.joinpath(*stem.removeprefix("rollout-")[:10].split("-")), live


def _lies(place: Path, stem: str) -> bool:
    return (place / (stem + PLAIN)).exists() or (place / (stem + COMPRESSED)).exists()


def _holds_rollouts(root: Path) -> bool:
    try:
        return any(e.name.startswith("rollout-") or re.fullmatch(r"20\d\d", e.name) for e in root.iterdir())
    except OSError:
        return False


def _fits(line: bytes, is_rollout: bool) -> bool:
    """One whole record of ours. Other harnesses have a `type` and a `timestamp` too, but no `payload`."""
    try:
        record = _decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        # The first record can be longer than the head that is looked at.
        return line.startswith(b'{"timestamp":"') and b'"type":"session_meta","payload":{' in line[:80]
    if not isinstance(record, dict):
        return False
    kind = record.get("type")
    if not isinstance(kind, str):
        return is_rollout and ("role" in record or "instructions" in record)
    return (kind in _ENVELOPES and isinstance(record.get("payload"), dict)) or kind in _STREAM or is_rollout
