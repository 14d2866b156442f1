"""What follows where agents and hub are of different releases, in words (design section 6, Mixed versions)."""

from functools import lru_cache

import msgspec
from msgspec import Struct

from trueup_shared import digest_sets, wire
from trueup_shared.harnesses import DATA_VERSIONS

# What people miss where an agent lacks a feature.
_WITHOUT = {
    wire.DIRECTIVES: "a resync cannot be asked for from here",
    wire.GENERATIONS: "`trueup pg push --full` does not remove what is not in its ledger",
    wire.REPAIR: "differences are not mended by themselves",
}

Parsers = dict[str, dict[str, int]]  # harness -> {version, floor}


class Versions(Struct, frozen=True, kw_only=True):
    """Of one ledger's agent, against this hub. What is empty is nothing to tell."""

    older_parsers: list[str]  # read by an older data version than this hub knows
    unfinished: list[str]  # harnesses whose rows have not all been read again by the parser that it has
    unknown: list[str]  # data versions and harnesses that this hub does not know
    agent_lacks: list[str]
    hub_lacks: list[str]


class Stated(Struct, frozen=True):
    """What an agent says of itself, and what follows."""

    agent: wire.AgentInfo | None  # None: it said nothing yet
    parsers: Parsers
    versions: Versions


@lru_cache(maxsize=4096)
def stated(agent: str | None, parsers: str) -> Stated:
    """Of the JSON that is kept of it: the same for most hosts of a fleet, so it is looked into once."""
    info = msgspec.json.decode(agent, type=wire.AgentInfo) if agent and agent != "{}" else None
    harnesses = msgspec.json.decode(parsers, type=Parsers)
    known = {name: (each["version"], each["floor"], DATA_VERSIONS.get(name)) for name, each in harnesses.items()}
    found = Versions(
        older_parsers=[
            f"{name} by data version {version} (this hub knows {ours})"
            for name, (version, _, ours) in sorted(known.items())
            if ours is not None and version < ours
        ],
        unfinished=[
            name
            for name, (version, floor, ours) in sorted(known.items())
            if ours is not None and floor < ours <= version
        ],
        unknown=[
            name if ours is None else f"data version {version} of {name} (counts as {ours})"
            for name, (version, _, ours) in sorted(known.items())
            if ours is None or version > ours
        ],
        agent_lacks=[] if info is None else _agent_lacks(info),
        hub_lacks=[] if info is None else _hub_lacks(info),
    )
    return Stated(info, harnesses, found)


def _agent_lacks(agent: wire.AgentInfo) -> list[str]:
    lacks = [_WITHOUT.get(name, name) for name in wire.FEATURES if name not in agent.features]
    if agent.protocols[1] < wire.PROTOCOL:
        lacks.append(f"it speaks protocol {agent.protocols[1]}, not {wire.PROTOCOL}")
    if agent.digest_sets[1] < digest_sets.newest():
        lacks.append(f"it knows digest set {agent.digest_sets[1]}, not {digest_sets.newest()}")
    return lacks


def _hub_lacks(agent: wire.AgentInfo) -> list[str]:
    lacks = [f"{name} cannot be used" for name in sorted(set(agent.features) - set(wire.FEATURES))]
    if agent.protocols[1] > wire.PROTOCOL:
        lacks.append(f"protocol {agent.protocols[1]} is not spoken here")
    if agent.digest_sets[1] > digest_sets.newest():
        lacks.append(f"digest set {agent.digest_sets[1]} is not known here")
    return lacks
