"""Whatever is in a source, a parser raises nothing but Unfinished, ends soon, and its rows can be stored and sent."""

import json
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import damage_database, damaged
from golden_homes import golden_home
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import ROWS, Facts, SourceFile, Usage
from trueup_agent.ledger import SourceInfo, SourceUpdate
from trueup_agent.policy import Policy
from trueup_agent.reading import Job, Reading
from trueup_shared.metrics import COUNTERS, MAX_COUNTER

# A few for each harness here; `make soak` tries a hundred times as many (tests/conftest.py).
# A few in every run, always the same ones; `make soak` draws thousands anew.
EXAMPLES = max(6, (settings.default or settings()).max_examples // 16)
SLOWEST_SECONDS = 10.0
MAX_SEED_BYTES = 256 << 10


@pytest.fixture(scope="module")
def homes() -> Iterator[Path]:
    """The golden home of each harness, made when it is first asked for."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="trueup-tests-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def sources(harness: str, root: Path) -> list[SourceFile]:
    found: list[SourceFile] = []
    known = HARNESSES[harness]
    errors: list[OSError] = []
    for folder in known.folders_of_root(root):
        if folder.is_dir():
            found += known.sources(folder, errors)
    for path in sorted(root.rglob("*")) if not found else ():
        if path.is_file() and (source := known.recognise(path, path.read_bytes()[: 64 << 10])) is not None:
            found.append(source)
    return [source for source in found if source.path.is_dir() or source.path.stat().st_size <= MAX_SEED_BYTES]


def files_of(source: SourceFile) -> list[Path]:
    places = [source.path, *source.companions]
    files = [path for place in places for path in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return [path for path in files if path.is_file()]


def damage(source: SourceFile, chance: random.Random) -> None:
    path = chance.choice(files_of(source))
    if path.read_bytes()[:15] == b"SQLite format 3":
        damage_database(path, chance)
    else:
        path.write_bytes(damaged(path.read_bytes(), chance))


def job(source: SourceFile, known: SourceInfo | None) -> Job:
    return Job(
        source_key=b"k" * 16,
        harness=source.harness,
        path=str(source.path),
        identity=source.identity,
        compressed=source.compressed,
        kind=source.kind,
        companions=tuple(map(str, source.companions)),
        known=known,
        policy=Policy(),
    )


def check(updates: list[SourceUpdate], harness: str) -> None:
    """Every value survives SQLite, msgpack and PostgreSQL."""
    msgspec.msgpack.encode(updates)
    for update in updates:
        for row in (*update.sessions, *update.messages, *update.events):
            for name, value in zip(row.__struct_fields__, msgspec.structs.astuple(row), strict=True):
                assert _storable(value), (harness, name, value)
        for event in update.events:
            counters = {name: getattr(event, name) for name in COUNTERS}
            assert all(value is None or 0 <= value <= MAX_COUNTER for value in counters.values()), counters
            assert len(event.key) == len(event.session_key) == 16
            if event.identity:
                assert isinstance(json.loads(event.identity), list)


def _storable(value: Any) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)
    return value is None or isinstance(value, bytes)


def rederive(updates: list[SourceUpdate], harness: str, chance: random.Random) -> None:
    """`usage` of what is stored, and of anything else that may be."""
    for event in [event for update in updates for event in update.events][:5]:
        usage = Usage(**{name: getattr(event, name) for name in COUNTERS})
        facts = Facts(provider=event.provider, model=event.model, identity=event.identity, usage=usage)
        if event.raw_usage is not None:
            HARNESSES[harness].usage(event.raw_usage, facts)
            HARNESSES[harness].usage(damaged(event.raw_usage, chance), facts)


@pytest.mark.parametrize("harness", HARNESSES)
def test_no_damage_makes_a_parser_raise_or_hang_or_emit_what_cannot_be_stored(harness: str, homes: Path) -> None:
    original = homes / harness
    golden_home(harness, original)
    assert sources(harness, original / "home"), "no golden source"

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.integers(0, 2**32))
    def run(seed: int) -> None:
        chance = random.Random(seed)
        work = homes / f"{harness}-work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(original, work)
        found = sources(harness, work / "home")
        source = chance.choice(found)
        started = process_time()
        known = None
        if chance.random() < 0.4:  # a reading that goes on from an undamaged one
            known = list(Reading(job(source, None)).updates())[-1].source
            known = msgspec.structs.replace(known, full_due_at=1) if source.kind == ROWS else known
        damage(source, chance)
        updates = list(Reading(job(source, known)).updates())
        check(updates, harness)
        rederive(updates, harness, chance)
        for path in files_of(source)[:3]:
            HARNESSES[harness].recognise(path, path.read_bytes()[: 64 << 10])
        assert process_time() - started < SLOWEST_SECONDS
        assert "report this" not in (updates[-1].source.error or ""), updates[-1].source.error

    run()


def test_the_mutations_reach_rows_of_a_database_and_values_of_a_document(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("CREATE TABLE t (a, b)")
    db.execute("""INSERT INTO t VALUES ('{"x": {"y": 1}}', 2)""")
    seen = set()
    for seed in range(100):
        copy = tmp_path / "copy.db"
        shutil.copy(path, copy)
        damage_database(copy, random.Random(seed))
        try:
            other = sqlite3.connect(copy)
            seen |= set(other.execute("SELECT * FROM t"))
        except sqlite3.Error:
            seen.add("unreadable")
        finally:
            other.close()
    db.close()
    assert "unreadable" in seen
    assert len(seen) > 20
    documents = {damaged(b'{"a": {"b": [1, 2]}}', random.Random(seed)) for seed in range(200)}
    assert len(documents) > 80
    assert any(b"[" * 2000 in document for document in documents)
