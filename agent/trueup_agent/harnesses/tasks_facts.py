"""What lies beside a task's list of messages: where it ran, which models, whose subtask (formats/cline.md, Fields)."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Files, Unfinished
from trueup_agent.harnesses.json_text import object_at, objects
from trueup_agent.harnesses.tasks import API_HISTORY, HISTORY_ITEM, METADATA
from trueup_agent.harnesses.values import epoch, text

# As the extension writes them into what it tells the model; paths may hold brackets, so the line's end decides.
# Bounded: without an end to find, each beginning would be looked at up to the end of the text.
_CWD = re.compile(r"# Current (?:Working|Workspace) Directory \((.{1,1024}?)\)(?: Files)?[ \t]{0,64}(?:\n|$)")
_MODEL = re.compile(r"<model>([^<\n]{1,200})</model>")
_DETAILS = "<environment_details>"


class Model(NamedTuple):
    provider: str | None
    model: str | None


UNKNOWN = Model(None, None)


class TaskFacts(NamedTuple):
    cwd: str | None
    parent: str | None  # task that made this one its subtask
    version: str | None
    new_item: bool  # a history item of the generation whose `tokensIn` includes the cache (formats/roocode.md)
    used: tuple[tuple[int, Model], ...]  # from when (µs) which model, ascending
    tagged: tuple[tuple[int, Model], ...]  # when (µs) the model was told which it is, ascending
    only_tag: str | None  # the model of all tags, where they name but one

    def model_at(self, at: int | None) -> Model:
        """The model of a request that began then, where its entry does not say."""
        if at is not None and self.used:
            number = bisect_right(self.used, at, key=lambda entry: entry[0])
            return self.used[max(number - 1, 0)][1] if number else UNKNOWN
        if self.only_tag is not None:
            return Model(None, self.only_tag)
        if at is not None and self.tagged:
            # The request is shown first, then its message is put together: its tag comes right after.
            number = bisect_left(self.tagged, at, key=lambda entry: entry[0])
            return self.tagged[min(number, len(self.tagged) - 1)][1]
        return UNKNOWN


def read_facts(task: Path, files: Files) -> TaskFacts:
    """A file that is missing, half-written or damaged says nothing; when it is whole the task is read again."""
    metadata = object_at(_document(files, task / METADATA))
    item = object_at(_document(files, task / HISTORY_ITEM))
    cwd: str | None = text(item.get("workspace")) or text(item.get("cwdOnTaskInitialization"))
    tags: list[tuple[int | None, str]] = []
    for at, details in _details(_document(files, task / API_HISTORY)):
        if cwd is None and (found := _CWD.search(details)):
            cwd = text(found.group(1))
        tags += [(at, name) for name in _MODEL.findall(details)[:1]]
    names = {name for _, name in tags}
    return TaskFacts(
        cwd=cwd,
        parent=text(item.get("parentTaskId")),
        version=_version(metadata),
        new_item=text(item.get("workspace")) is not None,
        used=tuple(sorted(_used(metadata), key=lambda entry: entry[0])),
        tagged=tuple(sorted((at, Model(None, text(name))) for at, name in tags if at is not None)),
        only_tag=text(names.pop()) if len(names) == 1 else None,
    )


def _document(files: Files, path: Path) -> Any:
    content = files.read(path)
    if content is None:
        return None
    try:
        return json_text.decode_document(content)
    except (Unfinished, *json_text.UNREADABLE):
        return None


def _used(metadata: Mapping[str, Any]) -> Iterator[tuple[int, Model]]:
    for entry in objects(metadata.get("model_usage")):
        at, model = epoch(entry.get("ts"), 1000), text(entry.get("model_id"))
        if at is not None and model is not None:
            yield at, Model(text(entry.get("model_provider_id")), model)


def _version(metadata: Mapping[str, Any]) -> str | None:
    known = [text(entry.get("cline_version"), 64) for entry in objects(metadata.get("environment_history"))]
    return next((version for version in reversed(known) if version), None)


def _details(history: Any) -> Iterator[tuple[int | None, str]]:
    """What the extension told the model of its surroundings, with the time of the message where it has one."""
    for message in objects(history):
        if message.get("role") == "user":
            content = message.get("content")
            texts = [content] if isinstance(content, str) else [block.get("text") for block in objects(content)]
            for part in texts:
                if isinstance(part, str) and (start := part.find(_DETAILS)) >= 0:
                    yield epoch(message.get("ts"), 1000), part[start:]
