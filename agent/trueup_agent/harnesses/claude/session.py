"""Which session a line of a Claude Code transcript belongs to, and what a parser remembers of it between two reads."""

import re
from pathlib import PurePath

from msgspec import Struct

from trueup_agent.harnesses.claude.records import ForkedFrom, Record, is_given, read_part
from trueup_agent.harnesses.values import LATEST, text
from trueup_agent.records import SessionRecord
from trueup_shared import keys

ID = "claude"
SESSION_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
AGENT_FILE = re.compile(r"agent-.+")

# Precedence of the sessions that have one record (records.EventRecord.copy). A background session begins with a copy of
# another that it does not mark, and marks what follows: all of it gives way to any other session.
OWN, SIDECHAIN, BACKGROUND, COPIED = 0, 1, 2, 3
UNKNOWN_START = LATEST

MAX_REUSED = 256
MAX_SESSIONS = 64  # that a file of many sessions (a third-party export) keeps in its state
_NO_BRANCH = {"", "HEAD"}  # detached, or no repository


class Origin(Struct, frozen=True):
    """What the path of a transcript says."""

    session_id: str
    is_fixed: bool  # the path names the session; else each record's `sessionId` does
    is_agent: bool = False
    parent_id: str | None = None


def origin_of(path: PurePath) -> Origin:
    """Main transcript, subagent in one of three layouts, or a file whose name is no session's."""
    stem = text(path.stem) or "unknown"
    folders = path.parts[:-1]
    if "subagents" in folders[1:]:
        at = len(folders) - 1 - folders[::-1].index("subagents")
        return Origin(stem, is_fixed=True, is_agent=True, parent_id=text(folders[at - 1]))
    if AGENT_FILE.fullmatch(stem):
        return Origin(stem, is_fixed=True, is_agent=True)
    if SESSION_ID.fullmatch(stem):
        return Origin(stem, is_fixed=True)
    if stem == "chat" and folders:
        return Origin(text(folders[-1]) or stem, is_fixed=False)
    return Origin(stem, is_fixed=False)


class Session(Struct, array_like=True):
    """What is known of a session so far. Only facts that a later line cannot take back."""

    id: str
    parent_key: bytes | None = None
    relationship: str | None = None
    started_at: int | None = None
    project_path: str | None = None
    git_branch: str | None = None
    harness_version: str | None = None
    title: str | None = None
    last_at: int | None = None
    prompt: str | None = None  # id of the last human turn
    reused: dict[str, tuple[str | None, str | None]] = {}  # short message id -> turn in the key, turn of last use
    has_forgotten: bool = False  # `reused` lost entries
    has_own_project: bool = False
    is_shown: bool = False  # a message or an event refers to it
    key: bytes = b""

    def begin(self, record: Record, at: int | None) -> None:
        """The session's first own record."""
        self.started_at = at
        self.git_branch = None if record.git_branch in _NO_BRANCH else text(record.git_branch)
        self.harness_version = text(record.version)

    def turn_of(self, message_id: str) -> str | None:
        """What tells this use of a gateway's running number from others in the session: nothing for the first, its
        human turn for one in another turn than the last. Uses within one turn are one message."""
        known = self.reused.pop(message_id, None)
        if known is not None and known[1] == self.prompt:
            turn = known[0]
        else:
            turn = self.prompt if known is not None or self.has_forgotten else None
        self.reused[message_id] = (turn, self.prompt)
        if len(self.reused) > MAX_REUSED:
            del self.reused[next(iter(self.reused))]
            self.has_forgotten = True
        return turn

    def precedence(self, copy: int) -> int:
        """`session_started` of a row: copies are told apart by their session's key alone, so that it does not matter
        whether the session's own first record was read yet."""
        return 0 if copy == COPIED else self.started_at or UNKNOWN_START

    def as_record(self) -> SessionRecord:
        return SessionRecord(
            key=self.key,
            harness=ID,
            session_id=self.id,
            parent_key=self.parent_key,
            relationship=self.relationship,
            started_at=self.started_at,
            project_path=self.project_path,
            git_branch=self.git_branch,
            harness_version=self.harness_version,
            title=self.title,
        )


def session_key(session_id: str) -> bytes:
    return keys.session_key(ID, session_id)


class Sessions:
    """The sessions of one file: one where the path names it, else as many as its records name."""

    def __init__(self, origin: Origin, known: list[Session]) -> None:
        self._origin = origin
        self._known = {session.id: session for session in known}  # the last one was read last
        self._last = known[-1] if known else self._open(origin.session_id)
        self._changed: dict[str, Session] = {}  # since the last `take`
        self._agents: dict[tuple[str, str | None], Session] = {}  # spoken of since then

    def known(self) -> list[Session]:
        return list(self._known.values())

    def of(self, record: Record) -> tuple[Session, int]:
        """The session that a record belongs to, and whether the record says that it is a copy."""
        claimed = record.session_id
        session = self._last
        if claimed is not None and claimed != session.id and not self._origin.is_fixed:
            session = self._switch(text(claimed) or session.id)
        copy = SIDECHAIN if record.is_sidechain or self._origin.is_agent else OWN
        if self._origin.is_agent:
            if session.parent_key is None and claimed is not None and SESSION_ID.fullmatch(claimed):
                self._link(session, claimed, "subagent")
        elif is_given(record.forked_from):
            copy = COPIED
            parent = read_part(record.forked_from, ForkedFrom)
            self._link(session, parent.session_id if parent else None, "fork")
        elif claimed is not None and claimed != session.id and self._origin.is_fixed:
            copy = COPIED
            self._link(session, claimed, "resume")
        elif record.session_kind == "bg":
            copy = BACKGROUND
        return session, copy

    def of_agent(self, agent_id: str, parent: Session, record: Record, at: int | None) -> Session:
        """A subagent that its parent's file speaks of. Its own file, where there is one, knows more."""
        name, project = f"agent-{agent_id}", parent.project_path
        session = self._agents.get((name, project))
        if session is None:
            session = Session(name, parent.key, "subagent", project_path=project, is_shown=True, key=session_key(name))
            session.begin(record, at)
            self._agents[name, project] = session
        elif at is not None and (session.started_at is None or at < session.started_at):
            session.started_at = at
        return session

    def name(self, record: Record) -> None:
        """The first title stays: a later one would make the row depend on where the file was cut."""
        session = self._last
        if not self._origin.is_fixed and record.session_id is not None:
            session = self._known.get(record.session_id, session)
        title = text(record.custom_title) or text(record.ai_title)
        if title is None and session.started_at is not None:
            title = text(record.summary)  # those before the first record name other sessions
        if session.title is None and title is not None:
            session.title = title
            self._touch(session)

    def saw(self, session: Session, record: Record, at: int | None, copy: int) -> None:
        """A conversation record of that session was read."""
        if at is not None:
            session.last_at = at
        is_own = copy != COPIED
        if is_own and session.started_at is None and at is not None:
            session.begin(record, at)
            self._touch(session)
        # A copied record's directory stands in until the first own one.
        if not session.has_own_project and record.cwd and (is_own or session.project_path is None):
            session.project_path = text(record.cwd)
            session.has_own_project = is_own
            self._touch(session)

    def show(self, session: Session) -> None:
        if not session.is_shown:
            session.is_shown = True
            self._touch(session)

    def take(self) -> list[SessionRecord]:
        changed = [*self._changed.values(), *self._agents.values()]
        self._changed, self._agents = {}, {}
        return [session.as_record() for session in changed if session.is_shown]

    def _touch(self, session: Session) -> None:
        self._changed[session.id] = session

    def _link(self, session: Session, parent_id: str | None, relationship: str) -> None:
        if session.relationship is None:
            session.relationship = relationship
            self._touch(session)
        parent = text(parent_id)
        if session.parent_key is None and parent is not None and parent != session.id:
            session.parent_key = session_key(parent)
            self._touch(session)

    def _switch(self, session_id: str) -> Session:
        session = self._known.pop(session_id, None)
        if session is None:
            session = self._open(session_id)
        self._known[session_id] = session
        self._last = session
        return session

    def _open(self, session_id: str) -> Session:
        origin = self._origin
        session = Session(session_id, key=session_key(session_id))
        if origin.is_agent:
            session.relationship = "subagent"
            session.parent_key = session_key(origin.parent_id) if origin.parent_id else None
        while len(self._known) >= MAX_SESSIONS:
            del self._known[next(iter(self._known))]
        self._known[session_id] = session
        return session
