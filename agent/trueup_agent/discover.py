"""Which logs there are: from the harnesses' own places, from settings, or from roots that were named."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

from msgspec import Struct

from trueup_agent.errors import RootNotFound
from trueup_agent.files import NotRegular, open_regular
from trueup_agent.fingerprints import ROWS_BESIDE, Fingerprints
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import WHOLE, Harness, Kind, SourceFile
from trueup_agent.harnesses.folders import CannotRead, walk
from trueup_agent.ledger import SourceInfo
from trueup_agent.settings import HarnessSettings, Places
from trueup_shared import keys

HEAD_BYTES = 64 * 1024  # of a file found elsewhere, to see whose it is


class RootArg(Struct, frozen=True):
    """`--root HARNESS=PATH`."""

    harness: str
    path: Path


class Found(Struct, frozen=True):
    key: bytes
    source: SourceFile
    status: os.stat_result
    fingerprint: bytes  # of what lies beside it (fingerprints.py)


class Discovery(Struct):
    """What a look around found. `unreadable`: path -> reason. `complete` harnesses: what was not found is gone."""

    found: list[Found]
    unreadable: dict[str, str]
    complete: set[str]


def parse_root(text: str) -> RootArg:
    """Raises RootNotFound, in words."""
    harness, separator, path = text.partition("=")
    if not separator or not path:
        raise RootNotFound(f"root '{text}': write it as HARNESS=PATH")
    if harness not in HARNESSES:
        raise RootNotFound(f"root '{text}': there is no harness '{harness}'; there are {', '.join(sorted(HARNESSES))}")
    return RootArg(harness, Path(path).expanduser().absolute())


def source_key(source: SourceFile) -> bytes:
    return keys.key("source", source.harness, source.identity)


def watched_folders(places: Places) -> list[Path]:
    """Data folders whose changes are to be known at once, whether or not they exist yet."""
    watched = [HARNESSES[name] for name in _enabled(places) if HARNESSES[name].is_watched]
    return list(dict.fromkeys(folder for harness in watched for folder in data_folders(harness, places)))


def harnesses_at(places: Places, paths: Iterable[str]) -> list[str]:
    """Harnesses that have a data folder above one of these paths."""
    above = with_parents(paths)
    return [name for name in _enabled(places) if any(str(f) in above for f in data_folders(HARNESSES[name], places))]


def with_parents(paths: Iterable[str]) -> set[str]:
    """The paths, what each belongs to (a database's logs), and all folders above."""
    found: set[str] = set()
    for text in paths:
        for end in ROWS_BESIDE:
            text = text.removesuffix(end)
        path = Path(text)
        found.add(text)
        for parent in map(str, path.parents):
            if parent in found:
                break
            found.add(parent)
    return found


def concerned(found: Iterable[Found], paths: set[str]) -> list[Found]:
    """Sources that lie at one of `paths` (with_parents) or have something beside them there."""
    return [f for f in found if str(f.source.path) in paths or any(str(c) in paths for c in f.source.companions)]


def discover(places: Places, roots: Sequence[RootArg] | None = None, only: str | None = None) -> Discovery:
    """Look for logs in the usual places (of the harness `only`), or only in `roots`. Raises RootNotFound when one of
    those does not exist."""
    look = _Look()
    names = [name for name in _enabled(places) if only in (None, name)]
    if roots is None:
        for name in names:
            configured = places.harnesses.get(name, HarnessSettings()).roots
            if configured:
                for root in configured:
                    look.at_root(HARNESSES[name], Path(root).expanduser().absolute())
            else:
                look.at_folders(HARNESSES[name], data_folders(HARNESSES[name], places))
    for named in roots or ():
        if not os.path.lexists(named.path):
            raise RootNotFound(f"root {named.harness}={named.path}: it does not exist")
        look.at_root(HARNESSES[named.harness], named.path)
    complete = set(names) - look.incomplete if roots is None else set()
    return Discovery(look.one_per_source(), look.unreadable, complete)


def known_sources(known: Iterable[SourceInfo]) -> list[Found]:
    """Sources that the ledger has, without looking around."""
    found = []
    fingerprints = Fingerprints()
    for info in known:
        if info.harness in HARNESSES:
            source = source_of(info)
            try:
                found.append(Found(info.source_key, source, source.path.stat(), fingerprints.of(source)))
            except OSError:
                continue  # the next rescan sees what became of it
    return found


def source_of(info: SourceInfo) -> SourceFile:
    return SourceFile(
        harness=info.harness,
        path=Path(info.path),
        identity=info.identity,
        kind=cast(Kind, info.kind),
        compressed=info.compressed,
        companions=tuple(map(Path, info.companions)),
    )


def _enabled(places: Places) -> list[str]:
    return [name for name in HARNESSES if places.harnesses.get(name, HarnessSettings()).enabled]


def data_folders(harness: Harness, places: Places) -> list[Path]:
    """Where a harness keeps its logs. Its environment variables speak of the own home only."""
    configured = places.harnesses.get(harness.id, HarnessSettings()).roots
    if configured:
        paths = [Path(root).expanduser().absolute() for root in configured]
        return [folder for path in paths for folder in _folders_below(harness, path) or [path]]
    return [
        folder
        for home in places.homes
        for folder in harness.data_folders(home, places.environ if home == places.own_home else {}, places.platform)
    ]


def _folders_below(harness: Harness, root: Path) -> list[Path]:
    """None where the root is away or closed to us, as a drive that is not mounted: a look around says so."""
    try:
        return harness.folders_of_root(root) if root.is_dir() else []
    except OSError:
        return []


class _Look:
    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}
        self.incomplete: set[str] = set()  # harnesses of which something may not have been seen
        self._found: list[Found] = []
        self._fingerprints = Fingerprints()

    def at_root(self, harness: Harness, root: Path) -> None:
        """A home, a harness's home, a data folder, or anything else that holds files of that harness."""
        try:
            folders = harness.folders_of_root(root) if root.is_dir() else []
        except OSError as error:
            self._cannot_read(error)
            return
        if folders:
            self.at_folders(harness, folders)
        else:
            self._take(_recognised(harness, root, self._cannot_read))

    def at_folders(self, harness: Harness, folders: Iterable[Path]) -> None:
        for folder in folders:
            errors: list[OSError] = []
            if os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where a parent is closed to us
                try:
                    self._take(harness.sources(folder, errors))
                except OSError as closed:  # below a folder that is closed to us
                    self.incomplete.add(harness.id)
                    errors.append(closed)
            elif os.path.isfile(folder):  # noqa: PTH113 - likewise
                self._take(_recognised(harness, folder, self._cannot_read))
            elif (behind := _closed_above(folder)) is not None:
                self.incomplete.add(harness.id)
                errors.append(behind)
            for error in errors:
                self._cannot_read(error)

    def one_per_source(self) -> list[Found]:
        """A log reached in several ways (links, a copy beside its compressed self) is one source."""
        by_file: dict[tuple[str, int, int], Found] = {}
        for found in self._found:
            inode = found.status.st_ino or len(by_file)  # some file systems have none
            id_ = (found.source.harness, found.status.st_dev, inode)
            other = by_file.get(id_)
            by_file[id_] = min(other, found, key=_through_links) if other else found
        by_key: dict[bytes, Found] = {}
        for found in by_file.values():
            by_key[found.key] = min(by_key.get(found.key, found), found, key=lambda f: f.source.compressed)
        return list(by_key.values())

    def _take(self, sources: Iterator[SourceFile]) -> None:
        for source in sources:
            if not is_text(str(source.path)):
                self.unreadable[_legible(str(source.path))] = "its path is not UTF-8: rename it"
                continue
            try:
                status = source.path.stat()
            except FileNotFoundError:
                continue  # gone since it was listed, or a link to nowhere
            except OSError as error:
                self._cannot_read(error)
                continue
            if stat.S_ISREG(status.st_mode) or (source.kind == WHOLE and stat.S_ISDIR(status.st_mode)):
                self._found.append(Found(source_key(source), source, status, self._fingerprints.of(source)))

    def _cannot_read(self, error: OSError) -> None:
        self.unreadable[_legible(str(error.filename))] = error.strerror or str(error)


def _closed_above(folder: Path) -> OSError | None:
    """Why nobody can say whether `folder` is there: the topmost folder that is closed to us."""
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        closed = (above for above in reversed(folder.parents) if not os.access(above, os.X_OK))
        error.filename = str(next(closed, folder))
        return error
    return None


def is_text(path: str) -> bool:
    """A file's name is any bytes; Python's stand-ins for those that are no UTF-8 fit no database and no JSON."""
    return path.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in path)


def _legible(path: str) -> str:
    return path.encode(errors="backslashreplace").decode()


def _through_links(found: Found) -> tuple[bool, str]:
    path = str(found.source.path)
    return os.path.realpath(path) != path, path


def _recognised(harness: Harness, root: Path, cannot_read: CannotRead) -> Iterator[SourceFile]:
    for path in _files_below(root, cannot_read):
        try:
            with open_regular(path) as file:
                head = file.read(HEAD_BYTES)
        except NotRegular:
            continue
        except OSError as error:
            cannot_read(error)
            continue
        if (source := harness.recognise(path, head)) is not None:
            yield source


def _files_below(root: Path, cannot_read: CannotRead) -> Iterator[Path]:
    if not root.is_dir():
        yield root
        return
    for directory, _, names in walk(root, cannot_read):
        yield from (directory / name for name in names)
