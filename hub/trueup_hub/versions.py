"""Agents and hub of different releases: what that means for a ledger, in words (design section 6, Mixed versions)."""

from collections.abc import Mapping

from trueup_shared import digest_sets, wire
from trueup_shared.harnesses import DATA_VERSIONS

Parsers = Mapping[str, Mapping[str, int]]  # harness -> {version, floor}

_WITHOUT = {
    "directives": "be asked for a resync",
    "generations": "push everything again in full",
    "repair": "find and send only what differs",
}


def older_parsers(parsers: Parsers) -> list[str]:
    """Harnesses that an agent reads by a parser older than this hub knows."""
    return [
        f"{harness} by data version {stated['version']} (this hub knows {DATA_VERSIONS[harness]})"
        for harness, stated in sorted(parsers.items())
        if stated["version"] < DATA_VERSIONS.get(harness, 0)
    ]


def unfinished(parsers: Parsers) -> list[str]:
    """Harnesses whose rows an agent has not read again yet by the parser that it has."""
    return [
        harness
        for harness, stated in sorted(parsers.items())
        if stated["floor"] < DATA_VERSIONS.get(harness, 0) <= stated["version"]
    ]


def agent_lacks(agent: wire.AgentInfo) -> list[str]:
    """What this hub can do and the agent cannot; each completes "it cannot"."""
    lacks = [words for feature, words in sorted(_WITHOUT.items()) if feature not in agent.features]
    return lacks + _ranges(agent, lower=True)


def hub_lacks(agent: wire.AgentInfo | None, parsers: Parsers) -> list[str]:
    """What the agent can do and this hub does not know; each completes "it has"."""
    lacks = []
    for harness, stated in sorted(parsers.items()):
        known = DATA_VERSIONS.get(harness)
        if known is None:
            lacks.append(f"rows of {harness}, which this hub has not heard of")
        elif stated["version"] > known:
            lacks.append(f"data version {stated['version']} of {harness} (this hub knows {known})")
    if agent is not None:
        lacks += _ranges(agent, lower=False)
        lacks += sorted(set(agent.features) - set(wire.FEATURES))
    return lacks


def _ranges(agent: wire.AgentInfo, *, lower: bool) -> list[str]:
    found = []
    ours = {"protocol": (agent.protocols[1], wire.PROTOCOL), "digest set": (agent.digest_sets[1], digest_sets.newest())}
    for name, (theirs, known) in ours.items():
        if lower and theirs < known:
            found.append(f"speak {name} {known}, only {theirs}")
        if not lower and theirs > known:
            found.append(f"{name} {theirs} (this hub knows {known})")
    return found
