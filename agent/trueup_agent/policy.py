"""What may leave the machine (design section 2, rule 9). Everything else stays in the ledger's local columns."""

from functools import lru_cache
from typing import Literal

from msgspec import Struct, field

from trueup_shared import digest_sets, keys


class Policy(Struct, frozen=True, kw_only=True):
    """Stored with the ledger; a change restates the rows it changes. Titles never leave."""

    project: Literal["name", "path", "hash", "none"] = "name"
    os_user: Literal["name", "hash", "none"] = "none"
    paths: Literal["path", "none"] = "none"  # of sources, in heartbeats
    # Not the owner's choice: what the ledger agreed on with its hub (store.py).
    digest_set: int = field(default_factory=digest_sets.newest)

    def sent_project(self, path: str | None) -> str | None:
        """A working directory as it travels."""
        return _project(self.project, path) if path else None

    def sent_os_user(self, name: str | None) -> str | None:
        if not name or self.os_user == "none":
            return None
        return name if self.os_user == "name" else keys.key("os_user", name).hex()

    def as_dict(self) -> dict[str, str]:
        return {"project": self.project, "os_user": self.os_user, "paths": self.paths}


@lru_cache(maxsize=4096)
def _project(form: str, path: str) -> str | None:
    folder = project_folder(path)
    if form == "name":
        return project_name(folder)
    if form == "path":
        return folder
    return keys.key("project", folder).hex() if form == "hash" else None


def project_folder(path: str) -> str:
    """The directory of which this one is a worktree; else itself. Both separators: logs travel between systems."""
    plain = path.replace("\\", "/")
    for marker in ("/.claude/worktrees/", "/.worktrees/"):
        at = plain.find(marker)
        if at > 0:
            return path[:at]
    return path


def project_name(folder: str) -> str | None:
    """Last component of a path; None for a root."""
    return folder.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or None
