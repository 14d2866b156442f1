"""Where Qwen Code's transcripts are found, and what broken ones do."""

import json
from pathlib import Path
from typing import Any

import pytest

from given import SAMPLES, needs_given
from read_sources import Read
from trueup_agent.harnesses import HARNESSES

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "qwen"
QWEN = HARNESSES["qwen"]
SESSION = "6f000000-0000-4000-8000-000000000001"


def line(n: int, **said: Any) -> bytes:
    fields = {"uuid": f"0aa00000-0000-4000-8000-{n:012d}", "parentUuid": None, "sessionId": SESSION}
    fields |= {"timestamp": "2026-06-15T14:40:00.000Z", "type": "assistant", "message": {"role": "model", "parts": []}}
    fields |= {"usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 5, "totalTokenCount": 105}}
    return json.dumps(fields | said).encode() + b"\n"


def write(tmp_path: Path, *lines: bytes) -> Path:
    path = tmp_path / f"{SESSION}.jsonl"
    path.write_bytes(b"".join(lines))
    return path


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_runtime_folder_comes_before_the_home_and_both_before_the_default(tmp_path: Path, platform: str) -> None:
    assert QWEN.data_folders(tmp_path, {}, platform) == [tmp_path / ".qwen/projects", tmp_path / ".qwen/tmp"]
    named = {"QWEN_HOME": "/q", "QWEN_RUNTIME_DIR": "~/r"}
    assert QWEN.data_folders(tmp_path, named, platform) == [tmp_path / "r/projects", tmp_path / "r/tmp"]
    del named["QWEN_RUNTIME_DIR"]
    assert QWEN.data_folders(tmp_path, named, platform) == [Path("/q/projects"), Path("/q/tmp")]


@pytest.mark.parametrize(("setting", "found"), [("/r", "/r"), ("~/r", "{home}/r"), ("r", None), (5, None), ("", None)])
def test_a_setting_moves_what_is_written_from_then_on(tmp_path: Path, setting: Any, found: str | None) -> None:
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen/settings.json").write_text(json.dumps({"advanced": {"runtimeOutputDir": setting}}))
    moved = [Path(found.format(home=tmp_path)) / name for name in ("projects", "tmp")] if found else []
    default = [tmp_path / ".qwen/projects", tmp_path / ".qwen/tmp"]
    assert QWEN.data_folders(tmp_path, {}, "linux") == moved + default
    assert QWEN.data_folders(tmp_path, {"QWEN_RUNTIME_DIR": "/x"}, "linux") == [Path("/x/projects"), Path("/x/tmp")]


@pytest.mark.parametrize(("root", "events"), [(".", 6), (".qwen", 6), (".qwen/projects", 5)])
def test_a_root_is_a_home_its_qwen_or_its_projects(root: str, events: int) -> None:
    assert len(Read("qwen").root(GOLDEN / "home" / root).events) == events


def test_projects_of_claude_code_are_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "projects/-home-ana-shop").mkdir(parents=True)
    assert QWEN.folders_of_root(tmp_path) == []


@needs_given
def test_each_harness_knows_its_own_samples_and_no_other() -> None:
    """Gemini CLI, Qwen Code, iFlow and Claude Code descend from one another."""
    harnesses = ("gemini", "qwen")
    for folder in ("claude", "gemini", "qwen", "iflow", "cursor", "antigravity"):
        for path in sorted((SAMPLES / folder).rglob("*.json*")):
            head = path.read_bytes()[: 1 << 16]
            taken = [name for name in harnesses if HARNESSES[name].recognise(path, head) is not None]
            assert set(taken) <= {folder}, path
            if folder == "qwen":
                assert taken == ["qwen"], path


def test_one_bad_record_costs_one_record(tmp_path: Path) -> None:
    lines = [line(1), b"{no json\n", b"[1]\n", b"7\n", b"\n", line(2, type="tea"), line(3), line(4, type=None)]
    got = Read("qwen").file(write(tmp_path, *lines))
    assert (len(got.events), got.skipped, got.lines) == (2, {"malformed": 3}, 8)
    assert got.unknown == {"tea": 1, "(none)": 1}


def test_an_unknown_kind_of_system_record_is_counted(tmp_path: Path) -> None:
    got = Read("qwen").file(write(tmp_path, line(1), line(2, type="system", subtype="quantum_leap")))
    assert got.unknown == {"system/quantum_leap": 1}


@pytest.mark.parametrize("value", ["12", -1, 1.5, True, None, [], {}, 2**53, 10**30])
@pytest.mark.parametrize(
    ("field", "lost"),
    [
        ("promptTokenCount", {"input_tokens", "context_tokens"}),
        ("candidatesTokenCount", {"output_tokens"}),
        ("totalTokenCount", set()),
    ],
)
def test_a_counter_that_is_no_number_is_unknown_and_moves_nothing_else(
    tmp_path: Path, field: str, lost: set[str], value: Any
) -> None:
    good = Read("qwen").file(write(tmp_path, line(1), line(2))).coverage()
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 5, "totalTokenCount": 105} | {field: value}
    got = Read("qwen").file(write(tmp_path, line(1), line(2, usageMetadata=usage))).coverage()
    assert got == {name: n - (name in lost) for name, n in good.items()}


@needs_given
@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        ('"candidatesTokenCount":5,', '"candidatesTokenCount":null,', {"output_tokens"}),
        ('"promptTokenCount":600,', '"prompt":600,', {"input_tokens", "context_tokens"}),
        ('"cachedContentTokenCount":50}', '"x":0}', {"cache_read_tokens"}),
    ],
)
def test_one_counter_less_in_the_recording_moves_that_count_by_one(
    tmp_path: Path, old: str, new: str, moved: set[str]
) -> None:
    text = (SAMPLES / "qwen/splitrail/qwen_code.jsonl").read_text(encoding="utf-8")
    assert text.count(old) == 1
    whole = Read("qwen").file(write(tmp_path, text.encode())).coverage()
    less = Read("qwen").file(write(tmp_path, text.replace(old, new).encode())).coverage()
    assert less == {name: n - (name in moved) for name, n in whole.items()}


def test_a_renamed_usage_field_is_seen_by_the_canary(tmp_path: Path) -> None:
    renamed = [line(n, usageMetadata=None, usage={"promptTokenCount": 5}) for n in range(2, 6)]
    assert Read("qwen").file(write(tmp_path, line(1), *renamed)).unmetered == 4
    inner = [line(n, usageMetadata={"prompt": 5}) for n in range(2, 5)]
    assert Read("qwen").file(write(tmp_path, line(1), *inner)).unmetered == 3


def test_records_of_the_wrong_types_all_over_cost_nothing_but_themselves(tmp_path: Path) -> None:
    fields = ("uuid", "sessionId", "timestamp", "type", "subtype", "cwd", "message", "usageMetadata", "forkedFrom")
    fields += ("agentId", "systemPayload", "model", "version", "gitBranch", "isSidechain")
    wrong = [line(n, **{name: value}) for n, name in enumerate(fields) for value in (5, [], {"a": []}, True, None, "")]
    kinds = [line(n, type=kind, systemPayload={"uiEvent": 5}) for n, kind in enumerate(("system", "user"))]
    got = Read("qwen").file(write(tmp_path, line(99), *wrong, *kinds))
    assert got.lines == 3 + 6 * len(fields)


def test_without_any_time_an_event_takes_the_sessions_and_then_the_files(tmp_path: Path) -> None:
    later = Read("qwen").file(write(tmp_path, line(1), line(2, timestamp="soon"))).events
    assert sorted(event.time_quality for event in later) == [1, 2]
    path = write(tmp_path, line(1, timestamp=None))
    (event,) = Read("qwen").file(path).events
    assert (event.time_quality, event.at) == (3, path.stat().st_mtime_ns // 1000)
