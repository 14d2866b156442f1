"""Entries of a Claude Code conversation: who speaks, what kind it is, how long, with which tools. Never its text."""

import msgspec
from msgspec import Struct

from trueup_agent.harnesses.claude.records import Attachment, Block, Content, Record, read_part
from trueup_agent.harnesses.claude.usage import SYNTHETIC
from trueup_agent.harnesses.values import text

_TOOL_USES = {"tool_use", "server_tool_use", "mcp_tool_use"}
_TYPED = {"typed", "queued"}  # promptSource of what a human wrote
_ERRORS = {"api_error", "error", "api_refusal"}
MAX_TOOLS = 256  # per message

# Texts that the client writes in the user's name: slash commands and their output, shell escapes, notices.
_CLIENT_TEXTS = (
    "<command-name>",
    "<command-message>",
    "<command-args>",
    "<local-command-",
    "<bash-input>",
    "<bash-stdout>",
    "<bash-stderr>",
    "<task-notification>",
    "<user-memory-input>",
    "<system-reminder>",
    "[Request interrupted by user",
)


class Group(Struct, array_like=True):
    """A message of the model, of which each content block is a line of its own. Lines of others may lie between."""

    key: bytes
    kind: str
    model: str | None
    event_key: bytes | None = None
    size_chars: int = 0
    tool_names: list[str] = []
    tool_ids: list[str] = []
    lines: list[str] = []  # their uuids: a line that is repeated counts once


def add_line(group: Group, uuid: str | None, content: Content) -> None:
    if uuid is not None:
        if uuid in group.lines:
            return
        if len(group.lines) < MAX_TOOLS:
            group.lines.append(uuid)
    group.size_chars += size_of(content)
    if isinstance(content, list):
        for block in content:
            if block.type in _TOOL_USES:
                _add_tool(group, block)


def _add_tool(group: Group, block: Block) -> None:
    name = text(block.name)
    if name is None or len(group.tool_names) >= MAX_TOOLS:
        return
    if block.id is not None:
        if block.id in group.tool_ids:
            return
        group.tool_ids.append(text(block.id) or "")
    group.tool_names.append(name)


def size_of(content: Content) -> int:
    """Characters of text, thinking and tool results; neither images nor tool arguments."""
    if content is None:
        return 0
    if isinstance(content, str):
        return len(content)
    size = 0
    for block in content:
        if block.text is not None:
            size += len(block.text)
        if block.thinking is not None:
            size += len(block.thinking)
        if block.content is not None:
            size += size_of(block.content)
    return size


def assistant_kind(record: Record) -> str:
    if record.is_api_error_message:
        return "error"
    return "meta" if record.message is not None and record.message.model == SYNTHETIC else "answer"


def user_role_and_kind(record: Record) -> tuple[str, str]:
    """A human turn is ("user", "prompt"); everything else that is logged as `user` is something else."""
    content = record.message.content if record.message is not None else None
    opening = content if isinstance(content, str) else None
    if isinstance(content, list):
        if content and all(block.type == "tool_result" for block in content):
            return "tool", "tool_result"
        opening = next((block.text for block in content if block.text is not None), "" if content else None)
    if record.is_compact_summary:
        return "user", "summary"
    if record.is_meta or opening is None or (record.prompt_source is not None and record.prompt_source not in _TYPED):
        return "user", "meta"
    return "user", prompt_kind(opening)


def prompt_kind(opening: str) -> str:
    return "meta" if opening.startswith(_CLIENT_TEXTS) else "prompt"


def system_kind(record: Record) -> str:
    if record.subtype in _ERRORS:
        return "error"
    return "summary" if record.subtype == "compact_boundary" else "meta"


def system_size(record: Record) -> int:
    """A system record has its text beside `type`, not in a `message`."""
    if not record.content:
        return 0
    try:
        content = _decode_text(record.content)
    except ValueError:
        return 0
    return len(content)


_decode_text = msgspec.json.Decoder(str).decode


def queued_prompt(record: Record) -> str | None:
    """What the user typed while the model worked; None for any other attachment."""
    attachment = read_part(record.attachment, Attachment)
    if attachment is None or attachment.type != "queued_command" or attachment.command_mode not in (None, "prompt"):
        return None
    return attachment.prompt
