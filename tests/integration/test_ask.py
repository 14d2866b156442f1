"""`trueup hub ask`: a script's question to a hub that may lack what it asks for."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from hub_process import Hub
from trueup_shared.cli import trueup
from usage_data import event
from usage_week import fill


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The hub is in this process: what it logs is none of the command's words."""
    with structlog.testing.capture_logs():
        yield


async def ask(hub: Hub, *arguments: str, url: str | None = None, token: str | None = None) -> Result:
    env = {"TRUEUP_TOKEN": hub.token if token is None else token, "TRUEUP_HUB_URL": url or hub.url}
    return await asyncio.to_thread(CliRunner().invoke, trueup, ["hub", "ask", *arguments], env=env)


async def test_a_script_gets_what_it_asked_for_or_what_stands_in_with_the_reason(hub: Hub, tmp_path: Path) -> None:
    await fill(await hub.machine("desk"), await hub.machine("laptop"))
    plain = await ask(hub, "analytics/heatmap", "metric=messages", "host=desk", "project=website")
    assert (plain.exit_code, plain.stderr) == (0, "")
    assert sum(entry["value"] for entry in json.loads(plain.stdout)["entries"]) == 12

    odd = await ask(hub, "analytics/heatmap", "metric=happiness", "host=desk", "host=attic", "mood=good")
    assert odd.exit_code == 0
    assert odd.stderr.splitlines() == [
        "trueup: this hub does not have metric=happiness for analytics/heatmap: asking metric=total_tokens",
        "trueup: this hub knows no host “attic”: asking without it",
        "trueup: this hub does not take mood for analytics/heatmap: asking without it",
    ]
    expected = await hub.get("analytics/heatmap", metric="total_tokens", host="desk")
    assert json.loads(odd.stdout)["entries"] == expected["entries"]

    strict = await ask(hub, "analytics/heatmap", "metric=happiness", "--strict")
    assert (strict.exit_code, strict.stdout, strict.stderr.count("\n")) == (2, "", 1)
    for wanted in ("host=attic", "label=team:web", "from=2026-13-01", "timezone=Mars"):  # all hosts, all days instead
        wider = await ask(hub, "analytics/summary", wanted)
        assert (wider.exit_code, wider.stdout, wider.stderr.count("\n")) == (2, "", 1), wanted
        assert wider.stderr.endswith(": nothing was asked, as the answer would be about something else\n")
    nowhere = await ask(hub, "analytics/velocity")
    for arguments in (("sessions", "quality=sure"), ("sources", "state=lost")):  # every session, every log instead
        assert (await ask(hub, *arguments)).exit_code == 2, arguments
    bounds = await ask(hub, "sessions", "quality=lower_bound", "counter=output_tokens")
    assert (bounds.exit_code, bounds.stderr) == (0, "")
    assert [one["of_quality"] for one in json.loads(bounds.stdout)["sessions"]] == [1]
    said, _, listed = nowhere.stderr.partition(": ask ")
    assert (nowhere.exit_code, said) == (2, "trueup: this hub does not have analytics/velocity")
    assert nowhere.stderr.count("\n") == 1
    can = listed.strip().split(", ")
    assert {"analytics/summary", "hosts", "rejections", "sessions", "sources", "trust"} <= set(can)
    for one in can:
        needed = ["by=model"] if one == "analytics/breakdown" else []
        assert (await ask(hub, one, *needed)).exit_code == 0, one

    (tmp_path / "token").write_text(f"{hub.token}\n")
    table = await ask(
        hub, "analytics/breakdown", "by=harness", "--csv", "--token-file", str(tmp_path / "token"), token=""
    )
    assert table.stdout.startswith("key,label,events,")
    assert "\ncodex,codex,3," in table.stdout.replace("\r\n", "\n")


async def test_what_goes_wrong_is_one_line_and_its_status(hub: Hub, tmp_path: Path) -> None:
    for arguments, named, status, said in (
        (["trust"], {"token": ""}, 2, "a viewer's token is needed"),
        (["trust"], {"token": "wrong"}, 1, "A valid token, session or host credential is needed. (401)"),
        (["trust"], {"url": "http://127.0.0.1:9"}, 4, "cannot be reached"),
        (["trust"], {"url": "ftp://hub"}, 2, "is not the address of a hub"),
        (["trust"], {"url": f"{hub.url}/elsewhere"}, 1, "not as a trueup hub"),
        (["trust", "host"], {}, 2, "write NAME=VALUE"),
        (["trust", "--token-file", str(tmp_path / "none")], {}, 2, "No such file"),
        (["sessions", "cursor=abc"], {}, 1, "is not a cursor of this route"),
    ):
        result = await ask(hub, *arguments, **named)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (status, "", 1), (
            arguments,
            result.stderr,
        )
        assert said in result.stderr


STRANGE = {
    "something else": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "too little": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
    "no HTTP": b"\x1b[31mhello\r\n\r\n",
    "nothing but brackets": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
    "an error of brackets": b"HTTP/1.1 500 Oh\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
    "half an error": b"HTTP/1.1 500 Oh\r\nContent-Length: 99\r\n\r\n{}",
}


@contextlib.asynccontextmanager
async def answering(content: bytes) -> AsyncIterator[str]:
    """The address of what is no hub."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def ask_at(url: str) -> Result:
    env = {"TRUEUP_TOKEN": "t", "TRUEUP_HUB_URL": url}
    return await asyncio.to_thread(CliRunner().invoke, trueup, ["hub", "ask", "trust"], env=env)


@pytest.mark.parametrize("strange", STRANGE)
async def test_something_else_at_that_address_is_said(strange: str) -> None:
    async with answering(STRANGE[strange]) as url:
        result = await ask_at(url)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "not as a" in result.stderr or "(500)" in result.stderr
    assert result.stderr.strip().isprintable()


async def test_a_terminal_is_shown_no_control_characters_and_a_file_gets_the_very_answer(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await hub.machine("desk")
    await desk.push([event("e", "s", "2026-11-03T10:00Z", project="\x1b]0;x\x07\u009b31m", output_tokens=1)])
    piped = await ask(hub, "analytics/breakdown", "by=project", "--csv")
    assert "\x1b]0;x\x07\u009b31m" in piped.stdout
    monkeypatch.setattr("trueup_hub.cli.ask._to_terminal", lambda: True)
    for arguments in (["--csv"], []):
        shown = await ask(hub, "analytics/breakdown", "by=project", *arguments)
        assert all(line.isprintable() for line in shown.stdout.split("\n"))
        assert "0;x" in shown.stdout
