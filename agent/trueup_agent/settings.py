"""The agent's settings: one frozen object, built once by the command line and passed in (docs/settings.md)."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import HARNESSES
from trueup_agent.policy import Policy
from trueup_shared import settings
from trueup_shared.settings import SettingError

_SECTIONS = ("agent", "hub", "up", "harness")


class AgentSettings(Struct, frozen=True, kw_only=True):
    """Section `[agent]` of the settings file. Field `hub_url` is TRUEUP_HUB_URL in the environment, and so on."""

    hub_url: str | None = None
    hub_ca: Path | None = None  # PEM file of a private certificate authority
    enroll_code: str | None = None
    label: str | None = None  # what the hub calls this machine; default its host name
    send_project: Literal["name", "path", "hash", "none"] = "name"
    send_os_user: Literal["name", "hash", "none"] = "none"
    send_paths: Literal["path", "none"] = "none"
    rescan_seconds: float = 60.0  # catches what the file watcher missed
    heartbeat_seconds: float = 30.0
    homes: list[Path] = []  # users' homes to read; default the own one

    def __post_init__(self) -> None:
        if not all(1 <= seconds <= 86_400 for seconds in (self.rescan_seconds, self.heartbeat_seconds)):  # nan neither
            raise ValueError("rescan_seconds and heartbeat_seconds: write 1 to 86400")

    @property
    def policy(self) -> Policy:
        return Policy(project=self.send_project, os_user=self.send_os_user, paths=self.send_paths)


class HarnessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[harness.NAME]`."""

    roots: list[str] = []  # read instead of the default places
    enabled: bool = True

    def __post_init__(self) -> None:
        if any(not root.strip() for root in self.roots):
            raise ValueError("roots: one of them is empty")


class Places(Struct, frozen=True, kw_only=True):
    """Where logs are looked for: homes, the harnesses' own environment variables, and settings that overrule both."""

    homes: list[Path]
    own_home: Path | None = None
    environ: dict[str, str] = {}  # speaks of the own home only
    platform: str = sys.platform
    harnesses: dict[str, HarnessSettings] = {}


class Loaded(Struct, frozen=True, kw_only=True):
    """Everything the agent's commands are told from outside."""

    agent: AgentSettings
    places: Places
    data_dir: Path


def load(
    data_dir: Path, config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Loaded:
    """Settings from flags, environment and file; `config` defaults to DATA_DIR/config.toml. Raises SettingError."""
    if config is not None and not config.is_file():
        raise SettingError(f"settings file {config}: not found")
    file = settings.read_file(config or data_dir / "config.toml")
    for name in file:
        if name not in _SECTIONS:
            raise SettingError(f"unknown section '{name}' in the settings file; there are {', '.join(_SECTIONS)}")
    agent = settings.load(AgentSettings, _section(file, "agent"), environ, flags or {})
    harnesses = {}
    for name, section in _section(file, "harness").items():
        if name not in HARNESSES:
            raise SettingError(
                f"settings file, [harness.{name}]: no such harness; there are {', '.join(sorted(HARNESSES))}"
            )
        try:
            harnesses[name] = msgspec.convert(section, HarnessSettings)
        except msgspec.ValidationError as error:
            raise SettingError(f"settings file, [harness.{name}]: {error}") from error
    own_home = Path.home()
    places = Places(homes=agent.homes or [own_home], own_home=own_home, environ=dict(environ), harnesses=harnesses)
    return Loaded(agent=agent, places=places, data_dir=data_dir)


def _section(file: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = file.get(name, {})
    if not isinstance(section, dict):
        raise SettingError(f"'{name}' in the settings file must be a section: write [{name}]")
    return section
