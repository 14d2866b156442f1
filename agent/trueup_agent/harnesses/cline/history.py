"""The list of tasks: where each ran. Its sums are a check, and not used (formats/cline.md, Identity and linkage)."""

from collections.abc import Iterator

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, Files, SourceFile, skip
from trueup_agent.harnesses.values import text
from trueup_agent.records import Parsed, SessionRecord
from trueup_shared import keys


class TaskHistoryParser:
    """`base.WholeParser`: sessions without a start, which fill in what the tasks themselves do not say."""

    def __init__(self, source: SourceFile, files: Files) -> None:
        self._harness, self._path, self._files = source.harness, source.path, files

    def state(self) -> bytes:
        return b""

    def read(self, everything: bool) -> Iterator[Parsed]:
        document = json_text.read_document(self._files, self._path)
        parsed = Parsed()
        if not isinstance(document, list):
            parsed.lines += 1
            skip(parsed, MALFORMED)
        for item in json_text.objects(document):
            parsed.lines += 1
            task, place = text(item.get("id")), text(item.get("cwdOnTaskInitialization"))
            if task is not None and place is not None:
                key = keys.session_key(self._harness, task)
                parsed.sessions.append(
                    SessionRecord(key=key, harness=self._harness, session_id=task, project_path=place)
                )
        yield parsed
