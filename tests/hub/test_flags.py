"""Each flag from the facts that raise it, in words that say why and what to do."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup_hub.cli.hub import host_rows
from trueup_hub.directives import DirectiveStatus
from trueup_hub.flags import HostFacts, flags_of
from trueup_hub.reports import HostReport, LedgerReport
from trueup_hub.states import WORDS
from trueup_hub.versions import Versions, stated
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.wire import FEATURES, AgentInfo

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KNOWN = DATA_VERSIONS["codex"]
CURRENT = AgentInfo(version="0.2.0", features=list(FEATURES))
FIRST = AgentInfo(version="0.0.1")
NEXT = AgentInfo(version="9.0.0", protocols=(1, 7), digest_sets=(1, 7), features=[*FEATURES, "telepathy"])


def of(agent: AgentInfo | None = None, **parsers: tuple[int, int]) -> Versions:
    """What follows from an agent, and from (version, floor) of its parsers."""
    said = {name.replace("_", "-"): {"version": v, "floor": floor} for name, (v, floor) in parsers.items()}
    return stated(msgspec.json.encode(agent).decode() if agent else None, msgspec.json.encode(said).decode()).versions


NONE, OLD, HALF = of(CURRENT, codex=(KNOWN, KNOWN)), of(codex=(KNOWN - 1, 1)), of(codex=(KNOWN, KNOWN - 1))
NEWER = of(codex=(KNOWN + 1, KNOWN + 1), harness_of_tomorrow=(1, 1))
QUIET = LedgerReport(
    ledger_id=UUID(int=1),
    state="converged",
    live=True,
    verdict="converged",
    acked_seq=5,
    digest="00" * 16,
    sessions=1,
    messages=1,
    events=1,
    rejected=0,
    batch_no=1,
    generation=0,
    open_generation=0,
    full_seq=0,
    full_target=0,
    first_contact_at=NOW - DAY,
    last_batch_at=NOW,
    converged_at=NOW,
    scrubbed_at=None,
    corrected=0,
    corrected_at=None,
    mended_at=None,
    replaces=[],
    replaced_by=None,
    superseded_at=None,
    agent_version="0.2.0",
    unstated=False,
    versions=NONE,
    agent=None,
    parsers={},
    policy={},
    seen_at=NOW,
    clock_skew_seconds=-300,
    head_seq=5,
    pending=0,
    skipped_lines=3,
    unknown_records=3,
    old_data=0,
    source_gone=3,
    drift_suspected=[],
    withheld=[],
    last_error=None,
)
ASKED = DirectiveStatus(
    directive_id=UUID(int=7),
    ledger_id=QUIET.ledger_id,
    kind="full_push",
    state="done",
    asked_by="ana",
    reason="",
    asked_at=NOW,
    heard_at=None,
    done=0,
    of=0,
    note="",
)


def host(ledger: dict[str, Any] | None = None, **facts: Any) -> HostFacts:
    reports = [msgspec.structs.replace(QUIET, **(ledger or {}))]
    quiet: dict[str, Any] = {"rejections": {}, "directives": [ASKED], "readmitted": False, "forgotten": False}
    return HostFacts(**{"state": "converged", "ledgers": reports, "now": NOW, **quiet, **facts})


def asked(**fields: Any) -> dict[str, Any]:
    return {"directives": [msgspec.structs.replace(ASKED, **fields)]}


def flags(facts: HostFacts) -> dict[str, str]:
    """Words of each flag; a flag comes once."""
    found = flags_of(facts)
    assert len({flag.flag for flag in found}) == len(found)
    return {flag.flag: f"{flag.reason} {flag.action}".strip() for flag in found}


def test_the_list_has_a_line_for_the_state_and_one_for_each_flag() -> None:
    facts = host({"withheld": ["events.27"]}, readmitted=True)
    report = HostReport(
        host_id=UUID(int=9),
        host_no=1,
        label="ana",
        labels={},
        kind="server",
        platform="",
        state="behind",
        reason="It is behind.",
        action="Wait.",
        flags=flags_of(facts),
        enrolled_at=NOW,
        last_seen_at=None,
        expected_silence_seconds=900,
        readmitted_at=NOW,
        retired_at=None,
        forgotten_at=None,
        ledgers=[],
    )
    first, second, third = host_rows(report)
    assert first == (UUID(int=9), "ana", None, "behind", "It is behind. Wait.")
    assert (second[:4], third[:4]) == (("", "", "", "  withheld"), ("", "", "", "  readmitted"))
    assert third[4] == "The hub had lost its database and knew this host by its credential."


def test_a_quiet_host_has_no_flags() -> None:
    assert flags(host()) == {}


@pytest.mark.parametrize(
    ("ledger", "facts", "words"),
    [
        ({"state": "diverged"}, {"state": "diverged"}, ["What differs is still to be sent"]),
        ({"state": "diverged"}, {"state": "forked"}, ["do not add up to the same digest", "`trueup pg push`"]),
        ({"state": "forked"}, {"state": "forked"}, ["still to be told apart"]),
        ({"versions": OLD}, {}, [f"codex by data version {KNOWN - 1} (this hub knows {KNOWN})", "Update trueup"]),
        ({"versions": HALF}, {}, ["Rows of codex are still being read again"]),
        ({"unstated": True}, {}, ["are shown as unknown", "run `trueup pg push --full`"]),
        ({"rejected": 1}, {}, ["Rejected rows are still to be accepted"]),
        ({}, asked(state="open"), ["A full push was asked for at 2026-11-22 12:00 UTC and is not done yet. Nothing"]),
        ({}, asked(state="running", done=3, of=9, note="sending"), ["not done yet: sending, 3 of 9."]),
        ({}, asked(state="failed", note="disk full"), ["came to nothing: disk full. Ask for it again."]),
        ({}, asked(state="given_up", note="The host slept."), ["came to nothing: The host slept. Ask"]),
    ],
)
def test_needs_resync_says_every_cause(ledger: dict[str, Any], facts: dict[str, Any], words: list[str]) -> None:
    found = flags(host(ledger, **facts))["needs_resync"]
    assert all(word in found for word in words), found


@pytest.mark.parametrize("versions", [NONE, NEWER, of(), of(FIRST), of(NEXT)])
def test_an_agent_that_knows_as_much_or_more_needs_no_resync(versions: Versions) -> None:
    assert "needs_resync" not in flags(host({"versions": versions}))


def test_needs_resync_has_all_causes_at_once_and_each_once() -> None:
    ledger = msgspec.structs.replace(QUIET, state="diverged", rejected=2, versions=OLD)
    found = flags(host(ledgers=[ledger, ledger], state="diverged", **asked(state="open")))["needs_resync"]
    assert found.count("What differs") == 1
    assert all(word in found for word in ("codex", "Rejected rows", "full push"))


CORRECTED = {"corrected": 3, "corrected_at": NOW - 2 * DAY}


@pytest.mark.parametrize(
    ("ledger", "facts", "flag", "words"),
    [
        ({"state": "forked"}, {}, "shared_credential", [str(QUIET.ledger_id), "two machines"]),
        ({"drift_suspected": ["codex", "amp"]}, {}, "drift_suspected", ["amp, codex grow", "Update trueup"]),
        (
            {"rejected": 3},
            {"rejections": {"bad time": 2, "no key": 1}},
            "rejected",
            ["3 rows could not be", "bad time (2 rows); no key (1 row)", "Update the hub or the agent"],
        ),
        ({"rejected": 4}, {"rejections": dict.fromkeys("abcd", 1)}, "rejected", ["c (1 row); and others."]),
        (CORRECTED, {}, "corrected", ["3 rows altered or lost", "2026-11-20 12:00 UTC", "not mended yet"]),
        (CORRECTED | {"mended_at": NOW - DAY}, {}, "corrected", ["they were mended by 2026-11-21 12:00 UTC"]),
        ({"old_data": 1}, {}, "old_data", ["1 row was read by an older parser"]),
        ({"withheld": ["events.27"]}, {}, "withheld", ["events.27", "Update the hub"]),
        (
            {"versions": of(FIRST), "agent": FIRST},
            {},
            "older_agent",
            ["0.0.1) is older", "resync cannot be"],
        ),
        ({"versions": of(NEXT)}, {}, "newer_agent", ["protocol 7 is not spoken", "digest set 7", "telepathy cannot"]),
        ({"versions": NEWER}, {}, "unknown_versions", [f"{KNOWN + 1} of codex (counts", "harness-of-tomorrow:"]),
        ({"clock_skew_seconds": 301}, {}, "clock_skew", ["5 minutes ahead of the hub's", "Set its clock"]),
        ({"clock_skew_seconds": -3 * 86_400}, {}, "clock_skew", ["3 days behind the hub's"]),
        ({"last_error": "disk full"}, {}, "agent_error", ["disk full", "`trueup agent status`"]),
        ({}, {"readmitted": True}, "readmitted", ["lost its database"]),
        ({}, {"forgotten": True}, "forgotten", ["3 rows left to remove"]),
    ],
)
def test_each_flag_has_its_reason_and_what_to_do(
    ledger: dict[str, Any], facts: dict[str, Any], flag: str, words: list[str]
) -> None:
    found = flags(host(ledger, **facts))
    assert all(word in found[flag] for word in words), found
    assert found.keys() <= {flag, "needs_resync"}


def test_what_was_mended_a_week_ago_is_told_no_more() -> None:
    assert flags(host(CORRECTED | {"mended_at": NOW - 8 * DAY})) == {}


def test_of_a_retired_host_only_what_its_rows_lack_is_told() -> None:
    ledger = {"state": "diverged", "rejected": 1, "last_error": "disk full", "versions": OLD, **CORRECTED}
    assert flags(host(ledger, state="retired")).keys() == {"rejected", "corrected"}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "state": st.sampled_from(["never", "converged", "behind", "diverged", "forked"]),
            "versions": st.sampled_from([NONE, OLD, HALF, NEWER, of(FIRST), of(NEXT)]),
            "unstated": st.booleans(),
            "rejected": st.integers(0, 2),
            "old_data": st.none() | st.integers(0, 2),
            "withheld": st.lists(st.just("events.27"), max_size=1),
            "drift_suspected": st.lists(st.sampled_from(["amp", "codex"]), max_size=2),
            "clock_skew_seconds": st.none() | st.integers(-(10**9), 10**9),
            "last_error": st.none() | st.just("disk full"),
            "corrected_at": st.none() | st.just(NOW - DAY),
            "mended_at": st.none() | st.just(NOW),
        },
    ),
    st.sampled_from(["open", "running", "done", "failed", "given_up"]),
    st.sampled_from(["never", "converged", "silent", "forked", "retired"]),
)
def test_whatever_the_facts_flags_come_once_with_a_reason_and_no_sentence_twice(
    ledger: dict[str, Any], directive: str, state: str
) -> None:
    """A host is as bad as its worst ledger, or worse for another one."""
    if ledger.get("state") == "forked" or (ledger.get("state") == "diverged" and state != "forked"):
        state = state if state == "retired" else ledger["state"]
    facts = host(ledger, state=state, **asked(state=directive))
    found = flags(facts)
    assert all(words.strip() for words in found.values())
    wanted = ledger.get("state") in ("diverged", "forked") or ledger.get("rejected") or directive in ("open", "failed")
    if wanted and state != "retired":
        assert "needs_resync" in found
    said = [WORDS[facts.state].reason, WORDS[facts.state].action, *found.values()]
    sentences = [one for text in said for one in re.split(r"(?<=\.) (?=[A-Z`])", text) if one]
    assert len(sentences) == len(set(sentences)), sentences
