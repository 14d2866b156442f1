"""Entries of `session_message`, which version 2 writes instead of `message` and `part`, in the shape of those.

Evidence: the producer's public source (schema/session-message, core/session/message-updater). An assistant entry is one
step; reasoning is apart from output, as its cost is worked out from both.
"""

from typing import Any

from trueup_agent.harnesses.json_text import object_at
from trueup_agent.harnesses.opencode.conversation import Json, Part
from trueup_agent.harnesses.opencode.usage import APART

# Entries that say nothing of use.
_SILENT = {"agent-switched", "model-switched", "location-switched", "idle", "shell", "skill", "system"}
_WRITTEN = {"user", "synthetic"}


def unfolded(kind: Any, data: Json) -> tuple[Json, list[Part]] | None:
    """Message and parts; None of what is no message. A kind that is not known stands as the role."""
    if not isinstance(kind, str) or kind in _SILENT:
        return None
    if kind in _WRITTEN:
        text = {"type": "text", "text": data.get("text"), "synthetic": kind == "synthetic"}
        return {"role": "user", "time": data.get("time")}, [Part(text)]
    if kind not in ("assistant", "compaction"):
        return {"role": kind}, []
    model, time = object_at(data, "model"), dict(object_at(data, "time"))
    info: Json = {"role": "assistant", "modelID": model.get("id"), "providerID": model.get("providerID"), "time": time}
    info |= {name: data[name] for name in ("cost", "finish", "error") if name in data}
    tokens = data.get("tokens")
    if isinstance(tokens, dict):
        info["tokens"] = tokens | {APART: True}
    elif "finish" not in data:
        info["error"] = data.get("error") or True  # interrupted: what came next closed it
    if kind == "compaction":
        info["summary"] = True
        if data.get("status") == "completed":
            time.setdefault("completed", time.get("created"))
        return info, [Part({"type": "text", "text": data.get("summary")})]
    content = data.get("content")
    return info, [Part(_part(one)) for one in (content if isinstance(content, list) else []) if isinstance(one, dict)]


def _part(content: Json) -> Json:
    return content | {"tool": content.get("name")} if content.get("type") == "tool" else content
