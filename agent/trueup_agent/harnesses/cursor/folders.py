"""Which folder a conversation was about: the store of each workspace lists its conversations (formats/cursor.md)."""

from pathlib import Path
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Files, SourceFile, Unfinished
from trueup_agent.harnesses.editors import path_of_uri
from trueup_agent.harnesses.values import MAX_PATH, text

_WORKSPACE = "workspace.json"
_HEADERS = ("composer.composerData", "composer.composerHeaders")
_ITEM = "SELECT value FROM ItemTable WHERE key = ?"


class Folders:
    """Looks into the workspaces' stores when a conversation comes up whose folder is not `known`."""

    def __init__(self, source: SourceFile, files: Files, known: dict[str, str]) -> None:
        self._source, self._files = source, files
        self.known = dict(known)
        self._looked = False

    def of(self, conversation_id: str) -> str | None:
        """None where no workspace lists it. Of several that do, the same one whatever the order."""
        if conversation_id not in self.known and not self._looked:
            self._looked = True
            for path in self._source.companions:
                if path.name == _WORKSPACE and (folder := workspace_folder(self._files, path)):
                    for id_ in self._conversations(path):
                        self.known[id_] = min(folder, self.known.get(id_, folder))
        return self.known.get(conversation_id)

    def _conversations(self, workspace: Path) -> list[str]:
        try:
            database = self._files.database(workspace.with_name(self._source.path.name))
            if not database.columns("ItemTable"):
                return []
            values = [value for key in _HEADERS for (value,) in database.rows(_ITEM, (key,))]
        except (OSError, Unfinished):
            return []  # its own reading says why; here it costs the folder of its conversations
        return [id_ for value in values for header in _headers(value) if (id_ := text(header.get("composerId")))]


def workspace_folder(files: Files, workspace: Path) -> str | None:
    """What `workspace.json` names: a folder, or a file that lists several."""
    try:
        said = json_text.object_of(files.read(workspace)) or {}
    except (OSError, Unfinished):
        return None
    return text(path_of_uri(said.get("folder")) or path_of_uri(said.get("workspace")), MAX_PATH)


def _headers(value: Any) -> list[dict[str, Any]]:
    headers = (json_text.object_of(value) or {}).get("allComposers")
    return [header for header in headers if isinstance(header, dict)] if isinstance(headers, list) else []
