"""What a model is called by those who resell or wrap it, brought to the name that its maker's price list has.

Only spellings of one and the same model: that a name looks like a model's is no reason to charge for it. What cannot be
known from the name (an Azure deployment called `prod-eu`) is an operator's to say (price_overrides.py).
"""

import re
from collections.abc import Iterator

from msgspec import Struct

# Whoever stands between; several may: `litellm_proxy/bedrock/us.anthropic.claude-x`.
_GATEWAYS = (
    "azure|azure_ai|azure_openai|bedrock|bedrock_converse|converse|copilot|github_copilot|github-copilot|litellm"
    "|litellm_proxy|models|openrouter|requesty|vercel|vertex|vertex_ai|vertex_ai_beta"
)
_GATEWAY = re.compile(rf"^({_GATEWAYS})/")
_OPENAI_S = ("azure", "azure_openai")  # where a name says no maker
_ARN = re.compile(r"^arn:aws[a-z-]*:bedrock:[^/]*/")  # of an inference profile or a foundation model
_VERTEX = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?publishers/([a-z-]+)/models/")
# Makers as Bedrock (`us.anthropic.`) and OpenRouter (`anthropic/`) name them -> as the price table does.
_MAKERS = {
    "anthropic": "anthropic",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "deepseek-ai": "deepseek",
    "google": "google",
    "meta": "meta",
    "meta-llama": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "mistralai": "mistral",
    "moonshotai": "moonshotai",
    "openai": "openai",
    "x-ai": "x-ai",
    "xai": "x-ai",
    "z-ai": "zai",
    "zai": "zai",
}
_MAKER = re.compile(rf"^(?:[a-z]{{2,8}}\.)?({'|'.join(map(re.escape, _MAKERS))})[./]")

_TAG = re.compile(r":(?:beta|exacto|floor|free|nitro|online|thinking)$")  # OpenRouter's
_BATCH = re.compile(r":batch$")
_WINDOW = re.compile(r"(?:\[1m\]|-v\d+(?::\d+)?(?::\d+k)?|@latest|@default)+$")  # Claude Code, Bedrock, Vertex
_FAST = re.compile(r"^(claude-.+)-fast$")
_CUSTOM = re.compile(r"custom:(.+?)(?:-\[[^\]]*\])?(?:-\d+)?$")  # Droid: a user's own, with a note and a number
_DATE = r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d)$"
_EFFORT = r"[-:]?\((?:minimal|low|medium|high|xhigh)\)$|-(?:minimal|low|medium|high|xhigh|thinking)$"
_DATED = re.compile(_DATE)
_THINKING = re.compile(f"{_DATE}|{_EFFORT}")
_ENDINGS = 4  # dates and efforts at the end of a name: nobody's has more, and each is looked up everywhere
_THINKS = re.compile(r"(?:claude|codex|gemini|gpt|grok)-|o[1-9]")  # where `-medium` is no size
_GENERATION_FIRST = re.compile(r"^claude-(\d(?:[.-]\d)?)-(fable|haiku|mythos|opus|sonnet)(?=$|-)")  # Cursor's
_DASHED = re.compile(r"(?<=-\d)-(?=\d(?:-|$))")

# Models that run on one's own machine have no list price, whatever they are called.
_LOCAL = frozenset(("jan", "llama-cpp", "llama.cpp", "llamacpp", "lm-studio", "lmstudio", "local", "ollama", "vllm"))
_OWN_TAG = re.compile(r":(?:latest|(?:\d+x)?\d+(?:\.\d+)?[bmt](?:-.*)?)$")  # Ollama's sizes

Mode = tuple[str, str]  # what a price may depend on: ("speed", "fast")


class Named(Struct, frozen=True):
    """`names`: to be looked up in this order. `maker`: as the price table calls it, where the name says."""

    names: tuple[str, ...]
    maker: str | None = None
    modes: tuple[Mode, ...] = ()


def is_local(provider: str | None, model: str) -> bool:
    return provider in _LOCAL or (_MAKER.match(model) is None and _OWN_TAG.search(model) is not None)


def named(model: str) -> Named:
    """The vendor's own name of a model first, also where a gateway calls it `us.anthropic.claude-x-v1:0`."""
    if (custom := _CUSTOM.match(model)) is not None:
        model = custom.group(1)
    model = _ARN.sub("", model)
    maker = None
    while (gateway := _GATEWAY.match(model)) is not None:
        maker = "openai" if gateway.group(1) in _OPENAI_S else None
        model = model[gateway.end() :]
    for prefix in (_VERTEX, _MAKER):
        if (found := prefix.match(model)) is not None:
            maker = _MAKERS.get(found.group(1))
            model = model[found.end() :]
    modes: tuple[Mode, ...] = ()
    if _BATCH.search(model):
        model, modes = _BATCH.sub("", model), (("processing", "batch"),)
    model = _WINDOW.sub("", _TAG.sub("", model)).replace("@", "-")
    if (fast := _FAST.match(model)) is not None:
        model, modes = fast.group(1), (("speed", "fast"),)
    return Named(tuple(dict.fromkeys(_spellings(model))), maker, modes)


def _spellings(model: str) -> Iterator[str]:
    """As it is; in small letters; without a date, without how hard it thinks; in another order; with dots."""
    yield model
    name = model.lower().replace(" ", "-")
    yield name
    ending = _THINKING if _THINKS.match(name) else _DATED
    for _ in range(_ENDINGS):
        name = ending.sub("", name)
        yield name
    yield _GENERATION_FIRST.sub(r"claude-\2-\1", name)
    yield _DASHED.sub(".", name)
