"""Finding session files of pi and of the agents built on it, and telling them apart."""

import re

import msgspec

from trueup_agent.harnesses.lines import UNREADABLE

_HEAD_RECORDS = 6
# What only OpenClaw writes, or only its folders are called. Its files are pi's otherwise.
_OPENCLAW = re.compile(
    rb'"customType"\s*:\s*"(?:model-snapshot|openclaw)|[/\\.](?:openclaw|clawdbot|moltbot|moldbot|kimi_openclaw|qclaw)\b'
    rb'|"(?:id|provider)"\s*:\s*"openclaw',
)
_OPENCLAW_PATH = re.compile(
    r"[/\\]\.(?:openclaw|clawdbot|moltbot|moldbot|kimi_openclaw)\b|[/\\]agents[/\\][^/\\]+[/\\]sessions[/\\]"
)
_decode = msgspec.json.Decoder().decode


def is_pi(path: str, head: bytes) -> bool:
    return _is_session(head) and not _is_openclaw(path, head)


def is_openclaw(path: str, head: bytes) -> bool:
    return _is_session(head) and _is_openclaw(path, head)


def _is_openclaw(path: str, head: bytes) -> bool:
    return _OPENCLAW.search(head) is not None or _OPENCLAW_PATH.search(path) is not None


def _is_session(head: bytes) -> bool:
    """Does it begin with a header, or, where that is missing, with entries of the tree?"""
    lines = [line for line in head.split(b"\n")[:_HEAD_RECORDS] if line.strip()]
    return any(_fits(line) for line in lines)


def _fits(line: bytes) -> bool:
    try:
        record = _decode(line)
    except UNREADABLE:
        return False
    if not isinstance(record, dict):
        return False
    if record.get("type") == "session":
        return isinstance(record.get("id"), str) and isinstance(record.get("cwd"), str) and "timestamp" in record
    message = record.get("message")
    return (
        record.get("type") == "message"
        and isinstance(message, dict)
        and isinstance(message.get("role"), str)
        and "timestamp" in record
        and type(message.get("timestamp")) is int  # Droid's entries are alike but for it
    )
