"""Every number that the documents claim is what the code says, and no page has a number that no test knows.

CLAIMS has, page by page, the words around each number and what it must equal: where the code changes, the words are no
longer found; a number that is in no claim is named. What remains is notation: dates, statuses of HTTP, names of
standards, commands. docs/harnesses.md is generated, docs/prices.md is held by tests/shared/test_price_docs.py.
"""

import re
import tomllib
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from trueup_agent import daemon, tail
from trueup_agent.push import forever, repair
from trueup_agent.reading import FULL_READING_MICROS
from trueup_agent.reports import blocks
from trueup_agent.reports.names import BLOCK_HOURS
from trueup_agent.reports.statusline import Line, in_words
from trueup_agent.reports.sums import Sums
from trueup_agent.settings import AgentSettings
from trueup_hub import admission, app, auth, flags, hosts, middleware, sources, states
from trueup_hub.analytics import activity, heatmap, hour_of_week, session, session_usage, top_sessions
from trueup_hub.cli import up
from trueup_hub.cli.hub import enroll_code
from trueup_hub.handlers import bodies
from trueup_hub.ingest import compare, decode, identity
from trueup_hub.settings import HubSettings
from trueup_shared import cli, digest_sets, keys, storable, times, wire
from trueup_shared.metrics import COUNTERS, MAX_COUNTER
from trueup_shared.money import nano

ROOT = Path(__file__).resolve().parents[1]
HELD_ELSEWHERE = {"harnesses.md", "prices.md"}
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.name not in HELD_ELSEWHERE)]
WORDS = dict(enumerate("zero one two three four five six seven eight nine ten".split())) | {20: "twenty"}  # noqa: SIM905


def word(number: float | timedelta, unit: timedelta = timedelta(seconds=1)) -> str:
    """As people write it: five minutes."""
    whole = number / unit if isinstance(number, timedelta) else number
    return WORDS[int(whole)] if whole == int(whole) else str(whole)


def mib(size: int) -> float:
    return size / (1 << 20)


def power(number: int) -> str:
    """2^53-1."""
    return f"2^{number.bit_length() - 1}" if number & (number - 1) == 0 else f"2^{(number + 1).bit_length() - 1}-1"


def statusline() -> str:
    """The line that docs/usage.md shows, as the command says these sums."""

    def used(tokens: int, dollars: str, least: bool = False) -> Sums:
        sums = Sums()
        sums.events = 1
        sums.amounts["total_tokens"], sums.cost_nanousd = tokens, nano(dollars)
        sums.coverage["total_tokens"].reported, sums.coverage["total_tokens"].lower_bound = 1, int(least)
        return sums

    today, block = used(1_200_000, "3.1", least=True), used(640_000, "1.9")
    return in_words(Line(used(48_800, "0.09"), today, block, 130 * 60_000_000))


MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
PYTHON = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
API = (ROOT / "docs" / "api.md").read_text()
EXAMPLE = msgspec.json.decode(re.findall(r"`coverage.output_tokens = (\{.*?\})`", API)[0])
LONGEST_TEXT = get_args(storable.Text)[1].max_length
SILENCE = states.EXPECTED_SILENCE
CODE_LIFE = next(option.default for option in enroll_code.params if option.name == "expires")
SET = digest_sets.FIELD_SETS[1]

CLAIMS: dict[str, list[tuple[Any, ...]]] = {
    "README.md": [("Python {} or newer", PYTHON.removeprefix(">="))],
    "api.md": [
        ("`limit` up to {}, `cursor`); one with its sources ({} of", hosts.MAX_HOSTS, sources.MAX_SOURCES),
        ("each of the {} hours of a week", hour_of_week.WEEK_HOURS),
        ("coverage}}]`, {} of them, Monday (0) 0:00 first", hour_of_week.WEEK_HOURS),
        ("`limit` up to {}: what a session used", top_sessions.MAX_LIMIT),
        (
            "of {} requests {} reported their output, {} of these only a lower bound, {} by subtraction",
            *(EXAMPLE[name] for name in ("events", "reported", "lower_bound", "derived")),
        ),
        ("off by more than {} minutes", word(flags.CLOCK_SKEW, MINUTE)),
        ("More than {} points are refused", activity.MAX_POINTS),
        ("`levels{{l1 … l{}}}`", heatmap.LEVELS),
        ("it lies: {} × the share", heatmap.LEVELS),
        ("the greatest day has level {},", heatmap.LEVELS),
        ("half an hour as {}.", 0.5),  # tests/hub/test_analytics_population.py
        ("the share of the {} projects with most", "three"),  # tests/hub/test_analytics_routes.py
        ("{} parts and subagents are listed", session_usage.MAX_LISTED),
        ("`by_model` ({} of `models_total`)", session._MOST_MODELS),
        ("`children` ({} of `children_total`)", session._MOST_CHILDREN),
        ("`busy` says that it took {} seconds", word(admission.Turns.PATIENCE)),
        ("An address has at most {} characters", middleware.LONGEST_ADDRESS),
        ("`too_many_ledgers` (a host has had {})", identity.MOST_LEDGERS),
    ],
    "architecture.md": [
        ("{} rounds, then exit {} |", word(repair.MOST_ROUNDS), cli.NotConverged.exit_code),
        ("everything once a {} |", {DAY: "day"}[timedelta(microseconds=FULL_READING_MICROS)]),
    ],
    "operating.md": [
        (
            "0 done, {} failure, {} wrong usage or setting, {} done but not converged, {} hub unreachable",
            *(one.exit_code for one in (cli.Failure, cli.WrongUsage, cli.NotConverged, cli.HubUnreachable)),
        ),
        ("exit status {} where something does", cli.NotConverged.exit_code),
        ("{} also where an agent must", cli.NotConverged.exit_code),
        ("backs off up to {} minutes", word(forever.LONGEST_DELAY_SECONDS / 60)),
        ("{} seconds at most; a second signal", word(daemon.DRAIN_SECONDS)),
        ("the keys ({}-byte hashes)", keys.KEY_BYTES),
        ("({} minutes, a laptop {} days)", int(SILENCE["server"] / MINUTE), word(SILENCE["laptop"], DAY)),
        ("once, within {} minutes", word(auth.LOGIN_CODE_LIFE, MINUTE)),
        ("within a {} ", {"1d": "day"}[CODE_LIFE]),
        ("answered from {}-minute slots", times.SLOT_SECONDS // 60),
        ("status {} is a client that went away", middleware._CLIENT_GONE),
        ("of more than a {} are told", {1.0: "second"}[middleware._SLOW_SECONDS]),
        ("torn or over {:g} MiB", mib(tail.MAX_LINE_BYTES)),
        ("good for {} minutes and one use", word(up._CODE_LIFE, MINUTE)),
    ],
    "settings.md": [
        ("(`reads_at_once` and {}) and 1 that listens", app._COMPARING),
        ("are told to come back when that takes {} seconds", word(admission.Turns.PATIENCE)),
        ("{} times as many may be on their way", word(app._RECEIVED)),
        ("| {} hex digits", 64),  # tests/hub/test_first_contact.py
        ("a batch has {} times as long", word(middleware._SLOW)),
    ],
    "usage.md": [
        ("each window of {} hours", word(BLOCK_HOURS)),
        ("lasts {} hours", word(BLOCK_HOURS)),
        ("once that is {} minutes ago", word(timedelta(microseconds=blocks._SETTLED_MICROS), MINUTE)),
        ("`{}`", statusline()),
        ("exit status {}", cli.WrongUsage.exit_code),
    ],
    "wire.md": [
        ("# The wire of protocol {}", wire.PROTOCOL),
        ("bucket 0 … {}", compare.BUCKETS - 1),
        ("with `Prefer: pages` {} rejected rows", compare.PAGE),
        ("is the first byte of the session key, {} of them", compare.BUCKETS),
        ("the sum modulo {} of the row digests", power(keys.DIGEST_MODULUS)),
        ("128-bit values are {} bytes", keys.KEY_BYTES),
        ("key {} bytes, seq an integer of 1 or more, source_key {} bytes or nil", keys.KEY_BYTES, keys.KEY_BYTES),
        ("Tables: {} sessions, {} messages, {} events", keys.SESSIONS, keys.MESSAGES, keys.EVENTS),
        ("| int, 0 … {} |", power(MAX_COUNTER)),
        ("bit 0 = field 11 … bit {} = field 19", len(COUNTERS) - 1),
        ("a {}-byte digest over the parts", keys.KEY_BYTES),
        ("- Row: BLAKE2b, {} bytes, over `01`", keys.KEY_BYTES),
        ("the {} bytes of the key, the canonical body", keys.KEY_BYTES),
        (
            "set 1 has fields 1 to {}, 1 to {} and 1 to {}",
            *(SET[t] for t in (keys.SESSIONS, keys.MESSAGES, keys.EVENTS)),
        ),
        ("as `events.{}`", SET[keys.EVENTS] + 1),
        (
            "Limits: {:g} MiB after decompression, {} rows, ids of {} bytes",
            mib(wire.MAX_BODY_BYTES),
            wire.MAX_BATCH_ROWS,
            16,
        ),
        ("text up to {} characters without NUL, numbers below 2^31 or 2^63", LONGEST_TEXT),
        ("in JSON up to {} million values", word(bodies.MOST_JSON_VALUES / 10**6)),
        ("a counter above {} or a cost of 100,000 or more", power(decode._MODEST)),
    ],
}

FIELDS = "|".join(field.name for body in get_args(wire.Body) for field in msgspec.structs.fields(body))
STATUSES = "|".join(str(int(status)) for status in (*HTTPStatus,) if status != HTTPStatus.CONTINUE)
# What is a name or a sign, and no claim.
NOTATION = [
    r"^    [^#\n]*(?=#|$)",  # commands; what is said beside them is a claim
    r"`\$\d+`|^\d+\. ",  # parameters of SQL; of a list
    r"\]\([^)]*\)|https?://\S+|`[^`\n]*://[^`\n]*`",
    r"\d{4}-\d\d-\d\d|127\.0\.0\.1|\b0600\b|`kill -9`|\bp90_|\bv1\b|\btrueup1\b|\b0\d{3}\b",
    r"(RFC|ISO|ADR|protocol|set|UTF-|SHA-|BLAKE2b-|base|str|bin|uint|array|map)\W?\d+|BLAKE2b|fixmap up to 15 fields",
    r"`\??(# )?[\w.]+(: |=| > |=\")\d+\"?`",  # `deep=1`
    rf"^\| (({STATUSES})(, )?)+ \|",  # the table of errors
    rf"\b({STATUSES})\b(?= (when|with|and no body|that|`\w+`)|;|\.? ?$)|(?<=is a )({STATUSES})",
    r"(?<=plain )400|(?<=with )503|OpenAPI 3\.1|`coverage.output_tokens = [^`]*`",
    r"Python 3\.14|each as a 4-byte big-endian|128-bit|bit [01] =|field 1[19]|1 that listens|any seq from 1\b",
    rf"\b\d+ ({FIELDS}|its unit|its status)\b|[123] (record|session|file)\b|seq an integer of 1",
    r"\b(2\^31|2\^63|100,000)\b|fields 1 to 9|cell, [^|]* 0:00|\(0\) 0:00|`\"1\"`|\(`\"1\"` …|`01`",
    r"(?<![\d.,:])0(?!\d|[.,:]\d)",  # the zero that unknown is not
]
SPELLED = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|sixty"
UNITS = "seconds?|minutes?|hours?|days?|weeks?|months?|times|rounds?|million|characters|bytes|rows|MiB|points"
NUMBER = re.compile(rf"\d[\d,.]*\d|\d|\b(?:{SPELLED}) (?:{UNITS})\b", re.IGNORECASE)


def said(claim: tuple[Any, ...]) -> str:
    text, *values = claim
    return str(text.format(*(f"{value:,}" if isinstance(value, int) else value for value in values)))


def spaced(text: str) -> str:
    """As a pattern: wherever the page breaks its lines."""
    return r"\s+".join(re.escape(part) for part in text.split())


def test_what_the_pages_claim_is_what_the_code_says() -> None:
    wrong = []
    for page in PAGES:
        text = page.read_text()
        wrong += [f"{page.name}: {said(claim)}" for claim in CLAIMS.get(page.name, []) if not found(claim, text)]
    assert not wrong, "not on the page (any more), or another number: " + "; ".join(wrong)


def found(claim: tuple[Any, ...], text: str) -> bool:
    return re.search(spaced(said(claim)), text) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_a_number_that_no_test_knows(page: Path) -> None:
    text = page.read_text()
    for claim in CLAIMS.get(page.name, []):
        text = re.sub(spaced(said(claim)), "", text)
    if page.name == "settings.md":
        text = re.sub(r"^\| (`\w+`(?:, `\w+`)*) \| [^|]* \|", r"| \1 | |", text, flags=re.MULTILINE)
    for pattern in NOTATION:
        text = re.sub(pattern, "", text, flags=re.MULTILINE)
    unknown = [text[max(0, one.start() - 50) : one.end() + 30].replace("\n", " ") for one in NUMBER.finditer(text)]
    assert not unknown, f"say in CLAIMS what each must equal: {unknown}"


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else None


@pytest.mark.parametrize("kind", [AgentSettings, HubSettings])
def test_the_defaults_of_settings_are_those_of_the_code(kind: type[msgspec.Struct]) -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, flags=re.MULTILINE))
    fields = {field.name: default_of(field) for field in msgspec.structs.fields(kind)}
    checked = {name: value for name, value in fields.items() if isinstance(value, (int, float)) and name in told}
    assert len(checked) >= 2
    assert {name: told[name] for name in checked} == {name: f"{value:g}" for name, value in checked.items()}
    reads = msgspec.structs.fields(HubSettings)
    assert "reads_at_once" in {field.name for field in reads}
    assert told["reads_at_once"] == "the machine's processors, 2 to 8"


@pytest.mark.parametrize("processors, reads", [(1, 2), (4, 4), (64, 8), (None, 2)])
def test_as_many_questions_are_answered_at_once_as_the_settings_page_says(
    processors: int | None, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup_hub.settings.cpu_count", lambda: processors)
    assert HubSettings().reads_at_once == reads
