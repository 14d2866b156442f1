"""Prompts that contain their cached part, as OpenAI, Google and Copilot count them."""

from trueup_agent.harnesses.base import Usage
from trueup_agent.records import EventRecord


def divide(
    prompt: int | None,
    cache_read: int | None,
    cache_write: int | None,
    output: int | None,
    reasoning: int | None,
    *,
    one_request: bool = True,
) -> Usage:
    """Canonical counters of a prompt that includes what was read from and written to the cache.

    Where the part that was read is unknown, the rest is undivided. A prompt smaller than its parts contradicts itself:
    its input is unknown, and the parser counts it as skipped. `one_request` False: a sum of prompts is no context.
    """
    usage = Usage(
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        output_tokens=output,
        reasoning_tokens=reasoning,
        context_tokens=prompt if one_request else None,
    )
    rest = None if prompt is None else prompt - (cache_read or 0) - (cache_write or 0)
    if rest is not None and rest >= 0:
        if cache_read is None:
            usage.input_undivided_tokens = rest
        else:
            usage.input_tokens = rest
    return usage


def contradicts(prompt: int | None, usage: Usage | EventRecord) -> bool:
    """Is there a prompt, but no input of it?"""
    return prompt is not None and usage.input_tokens is None and usage.input_undivided_tokens is None
