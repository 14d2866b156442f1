"""Entries of a task's list of messages (formats/cline.md, Records), and what their kinds mean."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, skip
from trueup_agent.harnesses.tasks_facts import UNKNOWN, Model
from trueup_agent.harnesses.values import counter, epoch, text
from trueup_agent.records import Parsed

STARTED, FINISHED = "api_req_started", "api_req_finished"
PROMPTS = {"task", "user_feedback", "user_feedback_diff"}
ERRORS = {"error", "api_req_failed", "diff_error"}
# What the model said, in several wordings.
ANSWERS = {
    "text", "reasoning", "completion_result", "plan_completion_result", "plan_mode_respond", "act_mode_respond",
    "followup", "new_task", "condense", "summarize_task", "report_bug", "generate_explanation",
}  # fmt: skip
# Entries that say what the model did, and the tool that did it where the entry itself does not name it.
_TOOLS = {
    "tool": None,
    "use_mcp_server": "use_mcp_tool",
    "command": "execute_command",
    "browser_action_launch": "browser_action",
    "use_subagents": "use_subagents",
}
# Entries that say nothing of use.
_SILENT = {
    "api_req_deleted", "api_req_rate_limit_wait", "api_req_retried", "api_req_retry_delayed",
    "auto_approval_max_req_reached",
    "browser_action", "browser_action_result", "browser_session_status", "checkpoint_created", "checkpoint_saved",
    "clineignore_error", "codebase_search_result", "command_output", "command_permission_denied", "compaction",
    "condense_context_error", "conditional_rules_applied", "error_retry", "finishTask", "hook", "hook_output",
    "hook_output_stream", "hook_status", "image", "info", "interactive_app", "invalid_model", "load_mcp_documentation",
    "idle", "mcp_notification", "mcp_server_request_started", "mcp_server_response", "mistake_limit_reached",
    "payment_required_prompt", "resume_completed_task", "resume_task", "rooignore_error", "shell_integration_warning",
    "shell_integration_warning_with_suggestion", "sliding_window_truncation", "subagent", "subtask_result",
    "task_progress", "too_many_tools_warning", "unauthorized_prompt", "user_edit_todos",
}  # fmt: skip
KNOWN = PROMPTS | ERRORS | ANSWERS | _TOOLS.keys() | _SILENT | {STARTED, FINISHED}


class Entry(Struct, gc=False):
    kind: str
    is_say: bool  # else it asks the user
    ts: int | None  # as logged, milliseconds
    at: int | None  # microseconds
    text: str
    info: Mapping[str, Any] | None  # the JSON in `text`, for kinds that have it there
    model: Model
    partial: bool
    condensed: Mapping[str, Any]


_WITH_JSON = {STARTED, FINISHED, "deleted_api_reqs", "subagent_usage", "tool", "use_mcp_server"}
_EMPTY: Mapping[str, Any] = {}


def entries_of(document: Sequence[Any], parsed: Parsed) -> list[Entry]:
    """What can be read of the list. A request of 2024 gets what the entry that finished it says."""
    found: list[Entry] = []
    open_request: Entry | None = None
    for record in document:
        parsed.lines += 1
        entry = _entry(record)
        if entry is None:
            skip(parsed, MALFORMED)
        elif entry.kind == FINISHED and open_request is not None:
            open_request.info = {**(open_request.info or _EMPTY), **(entry.info or _EMPTY)}
            open_request = None
        else:
            if entry.kind == STARTED:
                open_request = entry
            found.append(entry)
    return found


def _entry(record: Any) -> Entry | None:
    if not isinstance(record, Mapping):
        return None
    is_say = record.get("type") != "ask"
    kind = text(record.get("say" if is_say else "ask"), 64)
    if kind is None:
        return None
    words = record.get("text")
    words = words if isinstance(words, str) else ""
    model = record.get("modelInfo")
    condensed = record.get("contextCondense")
    return Entry(
        kind=kind,
        is_say=is_say,
        ts=counter(record.get("ts")),
        at=epoch(record.get("ts"), 1000),
        text=words,
        info=json_text.object_of(words) if kind in _WITH_JSON else None,
        model=Model(text(model.get("providerId")), text(model.get("modelId")))
        if isinstance(model, Mapping)
        else UNKNOWN,
        partial=record.get("partial") is True,
        condensed=condensed if isinstance(condensed, Mapping) else _EMPTY,
    )


def tool_of(entry: Entry) -> str | None:
    """The tool that an entry of the model's doing is of; None for other entries."""
    if entry.kind not in _TOOLS:
        return None
    info = entry.info or _EMPTY
    named = (
        info.get("tool") if entry.kind == "tool" else info.get("toolName") if entry.kind == "use_mcp_server" else None
    )
    return text(named) or _TOOLS[entry.kind] or entry.kind
