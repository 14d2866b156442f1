"""Settings come from flag, then environment, then file, then default. What is wrong is an error that names it.

A settings class is a frozen msgspec Struct whose fields all have defaults. Field `hub_url` is `TRUEUP_HUB_URL` in the
environment (`TRUEUP_HUB_URL_FILE` reads it from a file, for secrets) and `hub_url` in its section of the TOML file.
A list may be given as text with commas.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

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
    """Build `kind` from a file section, the environment ("" = not given) and flags (None = not given)."""
    fields = {f.name: f for f in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, value in section.items():
        if name not in fields:
            raise SettingError(f"unknown setting '{name}' in the settings file; there are {', '.join(sorted(fields))}")
        values[name], origins[name] = value, "the settings file"
    for name in fields:
        variable = f"TRUEUP_{name.upper()}"
        if environ.get(variable):
            values[name], origins[name] = environ[variable], variable
        elif environ.get(f"{variable}_FILE"):
            values[name], origins[name] = _secret(f"{variable}_FILE", environ[f"{variable}_FILE"]), f"{variable}_FILE"
    for name, value in flags.items():
        if value is not None:
            values[name], origins[name] = value, "the command line"
    for name in values:
        if isinstance(values[name], str) and get_origin(fields[name].type) in (list, tuple):
            values[name] = [item.strip() for item in values[name].split(",") if item.strip()]
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingError(_explained(str(error), fields, origins)) from error


def _secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{variable} {path}: {getattr(error, 'strerror', None) or error}") from error


def _explained(message: str, fields: Mapping[str, msgspec.structs.FieldInfo], origins: Mapping[str, str]) -> str:
    """msgspec's "Expected `int`, got `str` - at `$.port`" for people. The value stays out: it may be a secret."""
    what, _, place = message.partition(" - at `$.")
    name = place.split("[")[0].rstrip("`")
    if name not in fields:
        return f"setting {what}"
    if get_origin(fields[name].type) is Literal:
        what = f"write {', '.join(get_args(fields[name].type)[:-1])} or {get_args(fields[name].type)[-1]}"
    else:
        what = what.partition(", got ")[0].replace("`", "").replace("Expected", "expected")
    return f"setting '{name}' from {origins[name]}: {what}"
