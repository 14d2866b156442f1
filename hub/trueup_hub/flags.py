"""What stands beside a host's state: each flag at most once, with every reason in words and what to do.

Read after the state's own reason and action no sentence comes twice: what these or another flag say in full,
`needs_resync` only names."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from trueup_hub.directives import DirectiveStatus
from trueup_hub.reports import Flag, LedgerReport
from trueup_hub.states import WORDS, State
from trueup_shared import __version__

CLOCK_SKEW = timedelta(minutes=5)
_CORRECTED_SHOWN = timedelta(days=7)  # after it was mended; the count stays with the ledger
_REASONS_SHOWN = 3

# What the words of the state leave to say.
_TO_DO: dict[State, str] = {
    "diverged": "What differs is still to be sent.",
    "forked": "Its two machines are still to be told apart.",
}

# Of a retired host nothing more is expected: what remains to know is about the rows that it left.
_OF_RETIRED = ("rejected", "old_data", "corrected", "forgotten")


class HostFacts(Struct, frozen=True, kw_only=True):
    """What flags depend on. `ledgers`: the live ones. `rejections`: how many rows were rejected for each reason."""

    state: State
    ledgers: Sequence[LedgerReport]
    rejections: Mapping[str, int]
    directives: Sequence[DirectiveStatus]  # the newest of each ledger
    readmitted: bool
    forgotten: bool
    now: datetime


def flags_of(host: HostFacts) -> list[Flag]:
    """In the order of how much they matter to the numbers."""
    found = (rule(host) for rule in _RULES)
    return [flag for flag in found if flag is not None and (host.state != "retired" or flag.flag in _OF_RETIRED)]


def _needs_resync(host: HostFacts) -> Flag | None:
    causes = [*_differing(host), *_versions(host.ledgers), *_rejected_rows(host), *_asked(host.directives)]
    if not causes:
        return None
    return Flag("needs_resync", _joined(reason for reason, _ in causes), _joined(action for _, action in causes))


def _differing(host: HostFacts) -> Iterable[tuple[str, str]]:
    for ledger in host.ledgers:
        if ledger.state == host.state and ledger.state in _TO_DO:
            yield _TO_DO[ledger.state], ""
        elif ledger.state == "diverged":  # its host is worse
            yield WORDS[ledger.state].reason, WORDS[ledger.state].action


def _versions(ledgers: Sequence[LedgerReport]) -> Iterable[tuple[str, str]]:
    """Rows of a parser older than this hub's release knows, or of one that did not say how well it knows a counter."""
    if old := _all(ledger.versions.older_parsers for ledger in ledgers):
        yield f"Its agent reads {', '.join(old)}.", "Update trueup on this host."
    if under_way := _all(ledger.versions.unfinished for ledger in ledgers):
        reason = f"Rows of {', '.join(under_way)} are still being read again by the parser of its release."
        yield reason, "Nothing, if its agent runs; else run `trueup pg push --full` on this host."
    if any(ledger.unstated for ledger in ledgers):
        reason = "Events came without a word on which parser read them: counters of 0 among them are shown as unknown."
        yield reason, "Update what sends them to a trueup of this release and run `trueup pg push --full` there."


def _rejected_rows(host: HostFacts) -> Iterable[tuple[str, str]]:
    if any(ledger.rejected for ledger in host.ledgers):
        yield "Rejected rows are still to be accepted.", ""


def _asked(directives: Sequence[DirectiveStatus]) -> Iterable[tuple[str, str]]:
    for asked in directives:
        kind, at = asked.kind.replace("_", " "), f"{asked.asked_at:%Y-%m-%d %H:%M} UTC"
        if asked.state in ("open", "running"):
            far = [asked.note] * bool(asked.note) + [f"{asked.done} of {asked.of}"] * bool(asked.of)
            reason = f"A {kind} was asked for at {at} and is not done yet{': ' * bool(far)}{', '.join(far)}."
            yield reason, "Nothing, if its agent runs; else start it: `trueup agent run` on this host."
        elif asked.state in ("failed", "given_up"):
            why = f": {asked.note.rstrip('.')}" if asked.note else ""
            yield f"A {kind} was asked for at {at} and came to nothing{why}.", "Ask for it again."


def _rejected(host: HostFacts) -> Flag | None:
    number = sum(ledger.rejected for ledger in host.ledgers)
    if not number:
        return None
    first = [f"{reason} ({rows(count)})" for reason, count in list(host.rejections.items())[:_REASONS_SHOWN]]
    more = "; and others" if len(host.rejections) > _REASONS_SHOWN else ""
    why = f": {'; '.join(first)}{more}." if first else "."
    reason = f"{rows(number)} could not be accepted and {'is' if number == 1 else 'are'} counted nowhere{why}"
    return Flag("rejected", reason, "Update the hub or the agent: they are tried again by themselves then.")


def _drift(host: HostFacts) -> Flag | None:
    harnesses = sorted({name for ledger in host.ledgers for name in ledger.drift_suspected})
    if not harnesses:
        return None
    reason = f"The logs of {', '.join(harnesses)} grow but no usage is read from them."
    return Flag("drift_suspected", reason, "Update trueup on this host: a newer release may read them.")


def _shared(host: HostFacts) -> Flag | None:
    forked = sorted(str(ledger.ledger_id) for ledger in host.ledgers if ledger.state == "forked")
    if not forked:
        return None
    reason = f"Ledger {', '.join(forked)} was heard of after another ledger of this host: they are two machines."
    return Flag("shared_credential", reason, "`trueup agent rekey` on the copy gives it a credential of its own.")


def _corrected(host: HostFacts) -> Flag | None:
    found = [ledger for ledger in host.ledgers if ledger.corrected_at is not None]
    open_ = [ledger for ledger in found if ledger.mended_at is None]
    recent = [ledger for ledger in found if ledger.mended_at and host.now - ledger.mended_at < _CORRECTED_SHOWN]
    if not (open_ or recent):
        return None
    shown = open_ + recent
    last = max(ledger.corrected_at for ledger in shown if ledger.corrected_at is not None)
    reason = f"A check of the stored rows found {rows(sum(ledger.corrected for ledger in shown))} altered or lost"
    reason += f" at the hub, the last at {last:%Y-%m-%d %H:%M} UTC; "
    if open_:
        return Flag("corrected", reason + "they are not mended yet.", "They are as soon as its agent sends them again.")
    mended = max(ledger.mended_at for ledger in recent if ledger.mended_at is not None)
    reason += f"they were mended by {mended:%Y-%m-%d %H:%M} UTC."
    return Flag("corrected", reason, "Nothing on this host; see whether the hub's disk and database are sound.")


def _withheld(host: HostFacts) -> Flag | None:
    fields = sorted({name for ledger in host.ledgers for name in ledger.withheld})
    if not fields:
        return None
    reason = f"Its agent keeps back fields that this hub does not know: {', '.join(fields)}."
    return Flag("withheld", reason, "Update the hub: they are sent by themselves then.")


def _older_agent(host: HostFacts) -> Flag | None:
    lacks = _all(ledger.versions.agent_lacks for ledger in host.ledgers)
    return (
        Flag("older_agent", _releases(host, "older", lacks), "Update trueup on this host to the hub's release.")
        if lacks
        else None
    )


def _newer_agent(host: HostFacts) -> Flag | None:
    lacks = _all(ledger.versions.hub_lacks for ledger in host.ledgers)
    return (
        Flag("newer_agent", _releases(host, "newer", lacks), "Update the hub to its agent's release.")
        if lacks
        else None
    )


def _releases(host: HostFacts, than: str, lacks: list[str]) -> str:
    theirs = ", ".join(sorted({ledger.agent.version for ledger in host.ledgers if ledger.agent is not None}))
    both = f"Its agent (release {theirs}) is {than} than this hub ({__version__})"
    return f"{both}: {'; '.join(lacks)}. What it pushes counts all the same."


def _unknown_versions(host: HostFacts) -> Flag | None:
    unknown = _all(ledger.versions.unknown for ledger in host.ledgers)
    reason = f"This hub does not know {', '.join(unknown)}: which of several copies of a request counts may change."
    return Flag("unknown_versions", reason, "Update the hub: it decides anew then.") if unknown else None


def _old_data(host: HostFacts) -> Flag | None:
    old = sum(ledger.old_data or 0 for ledger in host.ledgers)
    if not old:
        return None
    was = "was" if old == 1 else "were"
    return Flag("old_data", f"{rows(old)} {was} read by an older parser and the logs are gone.", "")


def _clock(host: HostFacts) -> Flag | None:
    skews = [ledger.clock_skew_seconds or 0 for ledger in host.ledgers]
    skew = max(skews, key=abs, default=0)
    if abs(skew) <= CLOCK_SKEW.total_seconds():
        return None
    reason = f"Its clock is {_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the hub's."
    return Flag("clock_skew", reason, "Set its clock.")


def _error(host: HostFacts) -> Flag | None:
    errors = sorted({ledger.last_error for ledger in host.ledgers if ledger.last_error})
    return Flag("agent_error", _joined(errors), "Run `trueup agent status` on this host.") if errors else None


def _readmitted(host: HostFacts) -> Flag | None:
    reason = "The hub had lost its database and knew this host by its credential."
    return Flag("readmitted", reason, "") if host.readmitted else None


def _forgotten(host: HostFacts) -> Flag | None:
    left = sum(ledger.sessions + ledger.messages + ledger.events for ledger in host.ledgers)
    return Flag("forgotten", f"It is being forgotten: {rows(left)} left to remove.", "") if host.forgotten else None


_RULES = (
    _forgotten,
    _needs_resync,
    _shared,
    _drift,
    _rejected,
    _corrected,
    _old_data,
    _withheld,
    _older_agent,
    _newer_agent,
    _unknown_versions,
    _clock,
    _error,
    _readmitted,
)


def rows(number: int) -> str:
    return f"{number} row" if number == 1 else f"{number} rows"


def _all(facts: Iterable[Iterable[str]]) -> list[str]:
    """Those of all ledgers, each once."""
    found = [fact for of_ledger in facts for fact in of_ledger]
    return list(dict.fromkeys(found)) if found else found


def _joined(sentences: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(sentence for sentence in sentences if sentence))


def _duration(seconds: int) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds // 60} minutes"
