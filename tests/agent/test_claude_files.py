"""Where Claude Code's transcripts lie, and what a path says of a file (formats/claude.md, Where the data lives)."""

from pathlib import Path

import pytest

from claude_lines import FORK, MAIN, PROJECT, Read, agent_key, agent_path, answer, encode, line, micros, prompt
from trueup_agent.harnesses.claude import Claude
from trueup_shared import keys

HOME = Path("/home/ana")
DESKTOP = "local-agent-mode-sessions"


def folders(environ: dict[str, str], platform: str = "linux", home: Path = HOME) -> list[str]:
    return [path.as_posix() for path in Claude().data_folders(home, environ, platform)]


def write(path: Path, *lines: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    return path


def found(folder: Path) -> list[str]:
    errors: list[OSError] = []
    paths = [source.path.relative_to(folder).as_posix() for source in Claude().sources(folder, errors)]
    assert errors == []
    return paths


def test_the_usual_folders_are_all_read() -> None:
    assert folders({}) == [
        "/home/ana/.claude/projects",
        "/home/ana/.config/claude/projects",
        f"/home/ana/.config/Claude/{DESKTOP}",
    ]
    assert f"/home/ana/Library/Application Support/Claude/{DESKTOP}" in folders({}, "darwin")
    assert "/data/config/claude/projects" in folders({"XDG_CONFIG_HOME": "/data/config"})


def test_the_harness_s_variables_add_folders() -> None:
    environ = {"CLAUDE_CONFIG_DIR": "/a, ~/b,/c/projects,", "CLAUDE_CONFIG_DIRS": "/d:/a"}
    assert folders(environ)[:5] == [
        *("/a/projects", "/home/ana/b/projects", "/c/projects", "/d/projects", "/home/ana/.claude/projects"),
    ]


def test_windows_keeps_the_desktop_app_in_two_places(tmp_path: Path) -> None:
    packages = tmp_path / "AppData/Local/Packages"
    for name in ("Claude_pzs8", "Anthropic.Claude_1", "Other"):
        (packages / name).mkdir(parents=True)
    named = folders({"CLAUDE_CONFIG_DIRS": r"C;D"}, "win32", tmp_path)
    assert named[:2] == ["C/projects", "D/projects"]
    assert [name for name in named if name.endswith(DESKTOP)] == [
        f"{tmp_path.as_posix()}/AppData/Roaming/Claude/{DESKTOP}",
        f"{packages.as_posix()}/Anthropic.Claude_1/LocalCache/Roaming/Claude/{DESKTOP}",
        f"{packages.as_posix()}/Claude_pzs8/LocalCache/Roaming/Claude/{DESKTOP}",
    ]


def test_every_transcript_below_projects_is_a_source_and_nothing_else(tmp_path: Path) -> None:
    projects = tmp_path / "projects"
    wanted = [
        f"-home-ana-shop/{MAIN}.jsonl",
        f"-home-ana-shop/{MAIN}/subagents/agent-a1.jsonl",
        f"-home-ana-shop/{MAIN}/subagents/workflows/wf_1/agent-a2.jsonl",
        "-home-ana-shop/agent-12ab34cd.jsonl",
        "-home-ana-shop/s1/chat.jsonl",
    ]
    other = [
        f"-home-ana-shop/{MAIN}/subagents/agent-a1.meta.json",
        f"-home-ana-shop/{MAIN}/subagents/workflows/wf_1/journal.jsonl",
        f"-home-ana-shop/{MAIN}/tool-results/x/spilled.jsonl",
        "-home-ana-shop/notes.txt",
    ]
    for name in wanted + other:
        write(projects / name)
    assert sorted(found(projects)) == sorted(wanted)


def test_links_are_followed_once(tmp_path: Path) -> None:
    projects = tmp_path / "projects"
    write(tmp_path / "elsewhere" / "-p" / f"{MAIN}.jsonl")
    projects.mkdir()
    (projects / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "-p" / "loop").symlink_to(projects)
    assert found(projects) == [f"linked/-p/{MAIN}.jsonl"]


def test_the_desktop_app_s_sessions_are_found_in_projects_folders_at_most_eight_levels_down(tmp_path: Path) -> None:
    desktop = tmp_path / DESKTOP
    near = write(desktop / "org/user/local_1/.claude/projects/-p" / f"{MAIN}.jsonl")
    write(desktop / "org/user/local_1/audit.jsonl")
    deepest = write(desktop / "1/2/3/4/5/6/7/projects/-p" / f"{FORK}.jsonl")
    write(desktop / "1/2/3/4/5/6/7/8/projects/-p" / f"{FORK}.jsonl")
    assert sorted(found(desktop)) == sorted(p.relative_to(desktop).as_posix() for p in (near, deepest))


def test_a_folder_that_cannot_be_listed_is_an_error_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "projects/-open" / f"{MAIN}.jsonl")
    (tmp_path / "projects/-gone").symlink_to(tmp_path / "nowhere")
    errors: list[OSError] = []
    assert len(list(Claude().sources(tmp_path / "projects", errors))) == 1
    assert list(Claude().sources(tmp_path / "missing", errors)) == []
    assert [error.filename for error in errors] == [str(tmp_path / "missing")]


@pytest.mark.parametrize("below", ["", ".claude", ".claude/projects"])
def test_a_root_may_be_a_home_the_harness_s_home_or_its_data_folder(tmp_path: Path, below: str) -> None:
    write(tmp_path / f".claude/projects/-p/{MAIN}.jsonl")
    assert Claude().folders_of_root(tmp_path / below) == [tmp_path / ".claude/projects"]


def test_a_root_may_be_a_data_folder_under_another_name(tmp_path: Path) -> None:
    write(tmp_path / f"backup/-p/{MAIN}.jsonl")
    write(tmp_path / "other/readme.jsonl")
    assert Claude().folders_of_root(tmp_path / "backup") == [tmp_path / "backup"]
    assert Claude().folders_of_root(tmp_path / "other") == []


def test_files_elsewhere_are_recognised_by_their_first_records() -> None:
    harness = Claude()
    title = encode({"type": "summary", "summary": "Cart", "leafUuid": "x"})
    untyped = encode({"timestamp": "2026-01-09T10:00:00.000Z", "message": {"id": "a", "usage": {"input_tokens": 1}}})
    for lines in ([prompt(1, 1)], [title, b"not json", answer(1, 2)], [untyped], [prompt(1, 1, "x" * 100_000)]):
        assert harness.recognise(Path("/x/2026-03-02T0905_8e.jsonl"), b"\n".join(lines)[:65536])
    assert not harness.recognise(Path("/x/journal.jsonl"), prompt(1, 1))
    assert not harness.recognise(Path("/x/tool-results/a.jsonl"), prompt(1, 1))
    assert not harness.recognise(Path("/x/a.json"), prompt(1, 1))


@pytest.mark.parametrize(
    "record",
    [
        {"timestamp": "2026-05-04T08:00:00.000Z", "type": "session_meta", "payload": {"id": "x"}},
        {"sessionId": "x", "projectHash": "y", "startTime": "2026-05-04T08:00:00.000Z", "kind": "main"},
        {"type": "session", "version": 3, "id": "x", "timestamp": "2026-05-04T08:00:00.000Z", "cwd": "/x"},
        {"uuid": "x", "sessionId": "y", "type": "user", "message": {"role": "user", "parts": [{"text": "hi"}]}},
        {"type": "message", "id": "x", "message": {"role": "assistant", "usage": {"input": 1, "output": 2}}},
        {"silly": "this"},
        [1],
        "massive error",
    ],
)
def test_other_harnesses_logs_are_not_taken_for_ours(record: object) -> None:
    assert not Claude().recognise(Path("/x/session.jsonl"), encode(record) + b"\n")


@pytest.mark.parametrize(
    "theirs",
    [
        {"type": "system", "subtype": "ui_telemetry", "systemPayload": {"uiEvent": {"input_token_count": 5}}},
        {"type": "assistant", "message": {"role": "model", "parts": [{"text": "hi"}]}},
        {"type": "assistant", "usageMetadata": {"promptTokenCount": 5}},
        {"sessionId": "session-5de70000-0000-4000-8000-000000000001"},
    ],
    ids=["qwen telemetry", "qwen parts", "qwen usage", "iflow"],
)
def test_one_record_of_a_descendant_tells_for_the_whole_file(theirs: dict) -> None:
    shared = {"uuid": "x", "parentUuid": None, "sessionId": "s", "type": "user", "message": {"content": "hi"}}
    assert Claude().recognise(Path("/x/chat.jsonl"), encode(shared) + b"\n")
    assert not Claude().recognise(Path("/x/chat.jsonl"), encode(shared) + b"\n" + encode(shared | theirs) + b"\n")


@pytest.mark.parametrize(
    "path",
    [
        agent_path("a1"),
        PROJECT / MAIN / "subagents" / "workflows" / "wf_1" / "agent-a1.jsonl",
        PROJECT / "agent-a1.jsonl",
    ],
)
def test_a_subagent_is_a_session_of_its_own_in_all_three_layouts(path: Path) -> None:
    read = Read().file([prompt(1, 1, isSidechain=True), answer(2, 2, isSidechain=True)], path)
    session = read.sessions[agent_key("a1")]
    assert (session.relationship, session.parent_key) == ("subagent", keys.session_key("claude", MAIN))
    assert (session.started_at, read.only().session_key) == (micros(1), agent_key("a1"))


def test_the_folder_of_a_subagent_names_its_parent_before_its_records_do() -> None:
    read = Read().file([answer(2, 2, sessionId=f"{FORK}#agent-1")], agent_path("a1"))
    assert read.sessions[agent_key("a1")].parent_key == keys.session_key("claude", MAIN)
    flat = Read().file([answer(2, 2, sessionId="odd"), answer(3, 3, 2, sessionId=MAIN)], PROJECT / "agent-a1.jsonl")
    assert flat.sessions[agent_key("a1")].parent_key == keys.session_key("claude", MAIN)


def test_a_file_named_chat_belongs_to_the_session_of_its_folder() -> None:
    path = PROJECT / "session-alpha" / "chat.jsonl"
    assert Read().file([answer(1, 2, sessionId=...)], path).session("session-alpha").started_at == micros(1)


def test_a_file_of_several_sessions_keeps_them_apart() -> None:
    lines = [prompt(n, n, sessionId=f"s{n % 3}") for n in range(9)]
    read = Read().file(lines, "export", cuts=[4, 5])
    assert {s.session_id: s.started_at for s in read.sessions.values()} == {f"s{n}": micros(n) for n in range(3)}


def test_the_same_file_under_two_roots_counts_once() -> None:
    lines = [prompt(1, 1), answer(2, 2)]
    once, twice = (
        Read().file(lines),
        Read().file(lines).file(lines, Path("/mnt/home/.claude/projects/-p") / f"{MAIN}.jsonl"),
    )
    assert (once.events, once.messages, once.sessions) == (twice.events, twice.messages, twice.sessions)


def test_a_file_without_a_conversation_is_no_session() -> None:
    lines = [encode({"type": "summary", "summary": "x", "leafUuid": "y"}), line(1, "file-history-snapshot", 1)]
    assert Read().file(lines).sessions == {}
