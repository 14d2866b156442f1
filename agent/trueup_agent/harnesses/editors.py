"""VS Code and its forks: where they keep what extensions store (formats/cline.md, "Where the data lives").

Each has a folder `User` with `globalStorage/<publisher.extension>/`, `globalStorage/state.vscdb` and
`workspaceStorage/<hash>/`: on a desktop, in the server part on a remote host, or beside a portable installation.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trueup_agent.harnesses.folders import children, is_dir

# Their `User` folders are named whether or not they exist, so that an editor installed later is seen at once. Forks
# that are not listed are found by the shape of their folder.
APPS = ("Code", "Code - Insiders", "Code - OSS", "VSCodium", "Cursor", "Windsurf", "Positron", "Antigravity")
_SERVERS = (".vscode-server", ".vscode-server-insiders", ".cursor-server", ".windsurf-server")


def user_folders(
    home: Path, environ: Mapping[str, str], platform: str, apps: Sequence[str] | None = None
) -> list[Path]:
    """`User` folders of that home: of `apps` on the desktop (names as in APPS), else of every editor and server."""
    found = list(_desktop(home, environ, platform, apps))
    if apps is None:
        found += _servers(home, environ)
    return list(dict.fromkeys(found))


def global_storage(home: Path, environ: Mapping[str, str], platform: str, *extensions: str) -> list[Path]:
    """Where extensions (`publisher.name`, lower case as on disk) keep their files, in every editor."""
    users = user_folders(home, environ, platform)
    return [user / "globalStorage" / extension for user in users for extension in extensions]


def workspace_storage(
    home: Path, environ: Mapping[str, str], platform: str, apps: Sequence[str] | None = None
) -> list[Path]:
    """Folders with one folder per workspace, in every editor or in those named."""
    return [user / "workspaceStorage" for user in user_folders(home, environ, platform, apps)]


def path_of_uri(uri: object) -> str | None:
    """A folder as `workspace.json` and its like name it: `file:///c%3A/src`, `vscode-remote://ssh-remote+host/src`."""
    if not isinstance(uri, str):
        return None
    try:
        path = unquote(urlsplit(uri).path)
    except ValueError:
        return None
    if len(path) > 2 and path[2] == ":" and path[1].isalpha():  # /c:/src
        path = path[1:]
    return path.rstrip("/") or None


def _desktop(home: Path, environ: Mapping[str, str], platform: str, apps: Sequence[str] | None) -> Iterator[Path]:
    if portable := environ.get("VSCODE_PORTABLE"):  # set by a portable editor for what runs in its terminals
        yield Path(portable) / "user-data" / "User"
    base = _base(home, environ, platform)
    yield from (base / app / "User" for app in apps or APPS)
    if apps is None:
        yield from (child / "User" for child in _children(base) if _is_user(child / "User"))
    if platform == "linux":  # a sandboxed editor (Flatpak) has a configuration folder of its own
        for sandbox in _children(home / ".var" / "app"):
            for child in _children(sandbox / "config"):
                if _is_user(child / "User") and (apps is None or child.name in apps):
                    yield child / "User"


def _base(home: Path, environ: Mapping[str, str], platform: str) -> Path:
    """The folder that holds one folder per editor, as the producer finds it (its userDataPath)."""
    if named := environ.get("VSCODE_APPDATA"):
        return Path(named)
    if platform == "darwin":
        return home / "Library" / "Application Support"
    if platform == "win32":
        return Path(environ["APPDATA"]) if environ.get("APPDATA") else home / "AppData" / "Roaming"
    return Path(environ["XDG_CONFIG_HOME"]) if environ.get("XDG_CONFIG_HOME") else home / ".config"


def _servers(home: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Remote hosts (SSH, WSL, containers, Codespaces) and editors in a browser."""
    if named := environ.get("VSCODE_AGENT_FOLDER"):
        yield Path(named) / "data" / "User"
    yield from (home / server / "data" / "User" for server in _SERVERS)
    for child in _children(home):
        if child.name.startswith(".") and ("-server" in child.name or child.name == ".vscode-remote"):
            user = child / "data" / "User"
            if _is_user(user):
                yield user
    yield home / ".local" / "share" / "code-server" / "User"


def _is_user(folder: Path) -> bool:
    """Other programs have a folder `User` too."""
    return is_dir(folder / "globalStorage") or is_dir(folder / "workspaceStorage")


def _children(folder: Path) -> list[Path]:
    return [child for child in children(folder) if is_dir(child)]
