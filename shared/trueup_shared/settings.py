"""Settings come from flag, then environment, then file, then default. What is wrong is an error that names it.

A settings class is a frozen msgspec Struct whose fields all have defaults. Field `hub_url` is `TRUEUP_HUB_URL` in the
environment (`TRUEUP_HUB_URL_FILE` reads it from a file, for secrets) and `hub_url` in its section of the TOML file.
A list may be given as text with commas.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class SettingError(Exception):
    """A setting is wrong; the message names it and where it was read. Stop: only the user can mend it."""


def default_data_dir() -> Path:
    """Where both sides keep their data when nothing says otherwise: root's is the system's, a user's their own."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/trueup")
    from platformdirs import user_data_dir

    return Path(user_data_dir("trueup", appauthor=False))


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value).expanduser()
    raise TypeError(f"expected {kind.__name__}")


def read_file(path: Path | None) -> dict[str, Any]:
    """The TOML file as a dict; {} when there is none. Errors name the file and the line."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"settings file {path}: {error}") from error


def load(kind: type[T], section: Mapping[str, Any], environ: Mapping[str, str], flags: Mapping[str, Any]) -> T:
    """Build `kind` from a file section, the environment and flags (None = not given)."""
    fields = msgspec.structs.fields(kind)
    names = {f.name for f in fields}
    lists = {f.name for f in fields if get_origin(f.type) in (list, tuple)}
    values: dict[str, Any] = {}
    for name, value in section.items():
        if name not in names:
            raise SettingError(f"unknown setting '{name}' in the settings file")
        values[name] = value
    for name in names:
        variable = f"TRUEUP_{name.upper()}"
        if variable in environ:
            values[name] = environ[variable]
        elif f"{variable}_FILE" in environ:
            try:
                values[name] = Path(environ[f"{variable}_FILE"]).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingError(f"{variable}_FILE: {error}") from error
    values.update({name: value for name, value in flags.items() if value is not None})
    for name in lists & values.keys():
        if isinstance(values[name], str):
            values[name] = [item.strip() for item in values[name].split(",") if item.strip()]
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingError(f"setting {error}") from error
