"""The hub that this machine is enrolled at, as `host.json` says now: enrolment, and one client while it holds."""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from trueup_agent.credential import Host, load_host, save_host, secret_for
from trueup_agent.errors import NotEnrolled, Unauthorized
from trueup_agent.ledger import Ledger
from trueup_agent.push.batches import AGENT
from trueup_agent.push.hub_client import HubClient, hub_address, is_loopback
from trueup_agent.settings import AgentSettings
from trueup_shared import logs, wire

log = structlog.get_logger()

Kind = Literal["server", "laptop", "ephemeral"]


async def enroll(
    data_dir: Path,
    address: str,
    code: str,
    ledger_id: str | None,
    label: str | None,
    ca_file: Path | None,
    ephemeral: bool = False,
) -> Host:
    """Exchange code and secret for a credential and keep it. Safe to repeat. Raises the hub client's errors."""
    kind = "ephemeral" if ephemeral else kind_of_machine()
    host = await ask_to_enroll(data_dir, address, code, ledger_id, label, ca_file, kind)
    save_host(data_dir, host)
    return host


async def ask_to_enroll(
    data_dir: Path, address: str, code: str, ledger_id: str | None, label: str | None, ca_file: Path | None, kind: Kind
) -> Host:
    """The enrolment, not yet kept: until then a repeat gets the same one."""
    request = wire.EnrollRequest(
        code=code,
        secret=secret_for(data_dir, address),
        label=label or socket.gethostname(),
        ledger_id=ledger_id,
        agent=AGENT,
        platform=sys.platform,
        kind=kind,
    )
    async with HubClient(address, None, ca_file) as hub:
        reply = await hub.enroll(request)
    return Host(
        hub_url=address,
        host_id=reply.host_id,
        credential=reply.credential,
        label=reply.label,
        kind=kind,
        ledger_id=ledger_id or "",
    )


def kind_of_machine() -> Kind:
    """A laptop may be silent for days before anyone should worry, a server not."""
    battery = any(Path("/sys/class/power_supply").glob("BAT*"))
    return "laptop" if battery or sys.platform == "darwin" else "server"


class Uplink:
    """Gives the client for the hub of `host.json`, made anew when that changes; enrols first where settings say so."""

    def __init__(self, data_dir: Path, settings: AgentSettings, ledger: Ledger) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._ledger = ledger
        # Only until it worked once: a later `trueup agent enroll` is the owner's word and stands.
        self._may_enroll = bool(settings.hub_url and settings.enroll_code)
        self._refused: Host | None = None
        self.host: Host | None = None
        self._one_at_a_time = asyncio.Lock()  # push and heartbeat both come here; a code is used once
        self._client: HubClient | None = None

    async def hub(self) -> HubClient | None:
        """None: no hub is configured. Raises BadHostFile and, when it enrols, the hub client's errors."""
        async with self._one_at_a_time:
            host = load_host(self._data_dir)
            if self._may_enroll:
                host = await self._enrolled(host)
                self._may_enroll = False
            if host is None and self._settings.hub_url:
                address = hub_address(self._settings.hub_url)
                raise NotEnrolled(f"not enrolled at {address} yet: run `trueup agent enroll {address} --code CODE`")
            if host is None or host != self.host or self._client is None:
                await self.close()
                if host is not None:
                    self._client = await HubClient(host.hub_url, host.credential, self._settings.hub_ca).__aenter__()
                    self.host = host
            return self._client

    def was_refused(self, error: Unauthorized) -> bool:
        """True when settings have a code to enrol anew with, once (the hub has a new key). Not for a revoked host."""
        if error.code == "revoked" or self._refused == self.host:
            return False
        if not (self._settings.hub_url and self._settings.enroll_code):
            return False
        self._refused, self._may_enroll = self.host, True
        return True

    async def enroll_anew(self, code: str) -> Host:
        """This machine as another host of its hub, not yet kept. Raises NotEnrolled, and the hub client's errors."""
        host, settings = load_host(self._data_dir), self._settings
        if host is None:
            raise NotEnrolled("this machine is not enrolled at a hub: run `trueup agent enroll URL --code CODE`")
        ledger_id, label = self._ledger.ledger_id, settings.label
        return await ask_to_enroll(
            self._data_dir, host.hub_url, code, ledger_id, label, settings.hub_ca, kind=host.kind
        )

    def keep(self, host: Host | None) -> Host | None:
        """From now on this is the enrolment (None: the one that we have), used with the ledger as it is called now."""
        host = host or load_host(self._data_dir)
        if host is not None:
            host = msgspec.structs.replace(host, ledger_id=self._ledger.ledger_id)
            save_host(self._data_dir, host)
        return host

    def remember_ledger(self) -> None:
        """The same for the enrolment that our client is for."""
        self.host = self.keep(self.host)

    async def close(self) -> None:
        client, self._client, self.host = self._client, None, None
        if client is not None:
            await client.__aexit__(None, None, None)

    async def _enrolled(self, host: Host | None) -> Host:
        settings = self._settings
        assert settings.hub_url and settings.enroll_code
        address = hub_address(settings.hub_url)
        if host is not None and host != self._refused:
            if host.hub_url == address:
                return host
            moved = await self._same_hub_elsewhere(host, address)
            if moved is not None:
                return moved
        host = await enroll(
            self._data_dir, address, settings.enroll_code, self._ledger.ledger_id, settings.label, settings.hub_ca
        )
        log.info("enrolled", hub=address, **{logs.HOST: host.host_id})
        return host

    async def _same_hub_elsewhere(self, host: Host, address: str) -> Host | None:
        """The same hub on another port of this machine (`trueup up --port`): it must not become a second host."""
        if not (is_loopback(host.hub_url) and is_loopback(address)):
            return None
        async with HubClient(address, host.credential, self._settings.hub_ca) as hub:
            try:
                await hub.position(self._ledger.ledger_id)
            except Unauthorized:
                return None
        moved = msgspec.structs.replace(host, hub_url=address)
        save_host(self._data_dir, moved)
        return moved
