"""The table of harnesses. Adding one is one line here."""

from trueup_agent.harnesses.base import Harness
from trueup_agent.harnesses.claude import Claude
from trueup_agent.harnesses.codex import Codex

HARNESSES: dict[str, Harness] = {h.id: h for h in (Claude(), Codex())}
