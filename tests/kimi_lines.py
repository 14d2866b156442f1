"""Writes wire.jsonl files of Kimi CLI and Kimi Code for tests."""

import hashlib
import json
from pathlib import Path
from typing import Any

SHARE = Path("/home/ana/.kimi")
HASH = hashlib.md5(b"/home/ana/shop").hexdigest()
CLI = SHARE / "sessions" / HASH / "11111111-aaaa" / "wire.jsonl"
SESSION = "session_22222222-bbbb"
CODE = Path("/home/ana/.kimi-code/sessions/wd_shop_ac3bb318f98e") / SESSION / "agents/main/wire.jsonl"
START = 1776162400.0  # seconds: 2026-04-14T10:26:40Z


def line(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def cli(seconds: float, kind: str, **payload: Any) -> bytes:
    return line(timestamp=START + seconds, message={"type": kind, "payload": payload})


def cli_usage(fresh: int = 1200, output: int = 210, read: int = 13000, written: int = 0) -> dict[str, int]:
    return {"input_other": fresh, "output": output, "input_cache_read": read, "input_cache_creation": written}


def status(seconds: float, named: str | None, usage: Any = None, **more: Any) -> bytes:
    fields = {"context_usage": 0.06, "token_usage": usage or cli_usage(), "message_id": named} | more
    return cli(seconds, "StatusUpdate", **{name: value for name, value in fields.items() if value is not None})


def cli_session() -> list[bytes]:
    return [
        line(type="metadata", protocol_version="1.3"),
        cli(3.12, "TurnBegin", user_input=[{"type": "text", "text": "fix the cart"}]),
        cli(3.2, "StepBegin", n=1),
        cli(5, "ContentPart", type="text", text="I look"),
        cli(6, "ToolCall", type="function", id="t1", function={"name": "ReadFile", "arguments": "{}"}),
        status(9.5, "chatcmpl-1"),
        cli(10, "ToolResult", tool_call_id="t1", return_value={"is_error": False, "output": "abcd"}),
        cli(10.1, "StepBegin", n=2),
        cli(11, "ContentPart", type="think", think="hm"),
        status(12.25, "chatcmpl-2", cli_usage(300, 40, 14000, 7)),
        cli(12.5, "TurnEnd"),
    ]


def code_usage(fresh: int = 267, output: int = 42, read: int = 24064, written: int = 0) -> dict[str, int]:
    return {"inputOther": fresh, "output": output, "inputCacheRead": read, "inputCacheCreation": written}


def ms(seconds: float) -> int:
    return round((START + seconds) * 1000)


def loop(seconds: float, kind: str, **event: Any) -> bytes:
    return line(type="context.append_loop_event", event={"type": kind, **event}, time=ms(seconds))


def step_end(seconds: float, usage: Any, named: str | None = None) -> bytes:
    fields = {"turnId": "2", "step": 1, "usage": usage, "finishReason": "tool_use", "messageId": named}
    return loop(seconds, "step.end", **{name: value for name, value in fields.items() if value is not None})


def record(seconds: float, usage: Any, scope: str = "turn") -> bytes:
    return line(type="usage.record", model="moonshot-ai/kimi-k2.7", usage=usage, usageScope=scope, time=ms(seconds))


def request(seconds: float, model: str = "kimi-k2.7-code", kind: str = "loop") -> bytes:
    return line(type="llm.request", kind=kind, provider="kimi", model=model, time=ms(seconds))


def code_session() -> list[bytes]:
    return [
        line(type="metadata", protocol_version="1.4", created_at=ms(0)),
        line(type="config.update", modelAlias="moonshot-ai/kimi-k2.7", cwd="/home/ana/shop", time=ms(0)),
        line(type="turn.prompt", input=[{"type": "text", "text": "fix"}], origin={"kind": "user"}, time=ms(1)),
        line(
            type="context.append_message",
            message={"role": "user", "content": [{"type": "text", "text": "fix"}], "origin": {"kind": "user"}},
            time=ms(1.001),
        ),
        loop(1.1, "step.begin", uuid="u1", turnId="2", step=1),
        request(1.2),
        loop(3, "content.part", part={"type": "text", "text": "I look"}),
        loop(3.1, "tool.call", toolCallId="Bash_0", name="Bash", args={}),
        loop(3.2, "tool.result", toolCallId="Bash_0", result={"output": "abcd"}),
        step_end(3.3, code_usage(), "chatcmpl-7"),
        record(3.301, code_usage()),
        line(type="full_compaction.begin", source="manual", time=ms(20)),
        request(20, kind="compaction"),
        record(25, code_usage(1411, 937, 40960), "session"),
        line(type="context.apply_compaction", summary="So far", time=ms(25.1)),
    ]
