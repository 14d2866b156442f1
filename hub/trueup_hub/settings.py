"""The hub's settings: one frozen object, loaded once. Every field is documented in docs/settings.md.

Field `port` is `--port`, `TRUEUP_PORT` (or `TRUEUP_PORT_FILE`) and `port` in section `[hub]` of the settings file.
"""

from os import cpu_count
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from trueup_shared.machine import is_timezone
from trueup_shared.settings import SettingError

LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")


class HubSettings(Struct, frozen=True, kw_only=True):
    """Without `database_url` the hub runs its own PostgreSQL below `data_dir`."""

    data_dir: Path = Path()  # set from --data-dir, else the platform's place
    database_url: str | None = None
    database_connections: Annotated[int, Meta(ge=3, le=200)] = 8
    # Questions of viewers; the others take turns. More than processors answer none sooner, and batches wait for them.
    reads_at_once: Annotated[int, Meta(ge=1, le=64)] = field(default_factory=lambda: min(max(2, cpu_count() or 2), 8))
    batches_at_once: Annotated[int, Meta(ge=1, le=64)] = 8  # four times as many may be on their way, of 64 MiB each
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8787  # 0 = any free one
    public_url: str | None = None  # what browsers and agents call the hub, if not by host and port
    allowed_hosts: tuple[str, ...] = ()  # further names in the Host header; loopback names are always allowed
    tls_cert: Path | None = None
    tls_key: Path | None = None
    hub_key: str | None = None  # 64 hex digits; else the file hub/hub.key in data_dir, made on first start
    timezone: str = "UTC"
    session_days: Annotated[int, Meta(ge=1, le=400)] = 30
    price_overrides: Path | None = None  # a TOML file with prices of one's own (docs/prices.md)
    request_seconds: Annotated[float, Meta(gt=0)] = 60.0  # a request that takes longer is given up with 503
    scrub_hours: Annotated[float, Meta(gt=0)] = 24.0  # how often every row is held against the sums
    drain_seconds: Annotated[float, Meta(ge=0)] = 10.0  # how long open requests may take after the first signal

    @property
    def hub_dir(self) -> Path:
        """Hub key, revocations and the embedded PostgreSQL."""
        return self.data_dir / "hub"

    @property
    def loopback(self) -> bool:
        return self.host in LOOPBACK_NAMES

    def url(self, port: int) -> str:
        """Where this hub is reached, without a slash at the end. `port`: the one that it listens on."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{name}:{port}"

    def host_names(self) -> frozenset[str] | None:
        """Names that the Host header may have; None = any, on an open address for which no name was set."""
        named = {name.lower() for name in self.allowed_hosts}
        if self.public_url is not None:
            named.add(urlsplit(self.public_url).hostname or "")
        if not named and not self.loopback:
            return None
        return frozenset(named | {*LOOPBACK_NAMES, self.host.lower()})


def check(settings: HubSettings) -> HubSettings:
    """What types cannot say. SettingError names the setting."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingError("settings 'tls_cert' and 'tls_key' go together")
    for name in ("tls_cert", "tls_key"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise SettingError(f"setting '{name}': no such file: {path}")
    if settings.public_url is not None:
        url = urlsplit(settings.public_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SettingError("setting 'public_url' must look like https://hub.example.org")
    if settings.database_url is not None and not _is_database_url(settings.database_url):
        raise SettingError("setting 'database_url' must look like postgresql://user:password@host:5432/database")
    if settings.hub_key is not None:
        try:
            usable = len(bytes.fromhex(settings.hub_key)) == 32
        except ValueError:
            usable = False
        if not usable:
            raise SettingError("setting 'hub_key' must be 64 hex digits")
    if not is_timezone(settings.timezone):
        raise SettingError(f"setting 'timezone': '{settings.timezone}' is not a time zone of the IANA list")
    return settings


def _is_database_url(url: str) -> bool:
    try:
        return url.startswith(("postgresql://", "postgres://")) and urlsplit(url).port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        return False
