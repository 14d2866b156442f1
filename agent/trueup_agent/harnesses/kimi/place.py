"""What the path of a wire.jsonl says: which session it is, whose subagent, and what lies beside it."""

import re
from pathlib import Path

from msgspec import Struct

from trueup_agent.harnesses.values import text

# Kimi Work's own runs: titles, skills, summaries. Real spend, but nobody's conversation.
_INTERNAL = re.compile(r"(?:ctitle|sklsum|dvlt)-")


class Place(Struct, frozen=True, kw_only=True):
    session_id: str
    parent_id: str | None = None  # of a subagent
    agent_id: str | None = None  # Kimi Code: the name that state_file has for it
    relationship: str | None = None
    state_file: Path | None = None  # titles and agents of the session
    registry: Path | None = None  # Kimi CLI: working directories, of which `folder` is the hash of one
    folder: str | None = None


def place_of(path: Path) -> Place:
    """Files that lie elsewhere are named by themselves."""
    parts = path.parts
    if len(parts) >= 6 and parts[-3] == "agents" and parts[-6] == "sessions":
        return _kimi_code(path, parts[-4], parts[-2])
    if len(parts) >= 6 and parts[-3] == "subagents" and parts[-6] == "sessions":
        session, agent = parts[-4], parts[-2]
        return Place(
            session_id=_id(f"{session}/{agent}"),
            parent_id=_id(session),
            relationship="subagent",
            registry=path.parents[5] / "kimi.json",
            folder=parts[-5],
        )
    if len(parts) >= 4 and parts[-4] == "sessions":
        return Place(
            session_id=_id(parts[-2]),
            state_file=path.parent / "state.json",
            registry=path.parents[3] / "kimi.json",
            folder=parts[-3],
        )
    return Place(session_id=_id(path.parent.name if path.name == "wire.jsonl" else path.stem))


def _kimi_code(path: Path, session: str, agent: str) -> Place:
    state_file = path.parents[2] / "state.json"
    if agent == "main":
        internal = "subagent" if _INTERNAL.match(session) else None
        return Place(session_id=_id(session), agent_id=agent, relationship=internal, state_file=state_file)
    return Place(
        session_id=_id(f"{session}/{agent}"),
        parent_id=_id(session),
        agent_id=agent,
        relationship="subagent",
        state_file=state_file,
    )


def _id(name: str) -> str:
    return text(name) or "unknown"
