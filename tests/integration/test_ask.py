"""`trueup hub ask`: a script's question to a hub that may lack what it asks for."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from hub_process import Hub
from trueup_shared.cli import trueup
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
    nowhere = await ask(hub, "analytics/velocity")
    assert (nowhere.exit_code, nowhere.stderr) == (2, "trueup: this hub does not have analytics/velocity\n")

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


async def test_something_else_at_that_address_is_said() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    env = {"TRUEUP_TOKEN": "t", "TRUEUP_HUB_URL": f"http://127.0.0.1:{port}"}
    result = await asyncio.to_thread(CliRunner().invoke, trueup, ["hub", "ask", "trust"], env=env)
    server.close()
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "not as a trueup hub" in result.stderr
