"""The one table of harnesses: id -> data version of our parser. Adding a harness is one line here.

The id names the package `trueup_agent.harnesses.<id>`. The hub needs the versions as well: a copy of a row counts by
its data version only up to what the hub's release knows (design section 7). Raise a version when a change of the parser
alters numbers; the agent then derives the harness's rows again (design section 4).
"""

DATA_VERSIONS = {
    "claude": 1,
    "codex": 2,
    "gemini": 1,
    "copilot": 1,
    "opencode": 1,
    "qwen": 1,
    "cursor": 1,
    "amp": 1,
    "droid": 1,
    "kilo": 1,
    "roocode": 1,
    "cline": 1,
    "pi": 1,
    "openclaw": 1,
    "goose": 1,
    "crush": 1,
    "zed": 1,
    "kimi": 1,
    "vibe": 1,
    "gptme": 1,
    "openhands": 1,
    "iflow": 1,
    "hermes": 1,
    "forge": 1,
    "piebald": 1,
    "codebuff": 1,
    "aider": 1,
    "vscode-copilot": 1,
    "warp": 1,
    "kiro": 1,
    "antigravity": 1,
}
