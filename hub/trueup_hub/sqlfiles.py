"""SQL lives in `sql/<module>.sql`, in blocks that start with `-- name: purpose`."""

import re
from functools import cache
from importlib.resources import files

_HEADER = re.compile(r"^-- ([a-z][a-z0-9_]*): .+$", re.MULTILINE)


@cache
def load(module: str) -> dict[str, str]:
    """The blocks of `sql/<module>.sql` by name."""
    text = (files("trueup_hub") / "sql" / f"{module}.sql").read_text(encoding="utf-8")
    _, *parts = _HEADER.split(text)
    blocks = {name: body.strip().rstrip(";") for name, body in zip(parts[::2], parts[1::2], strict=True)}
    if len(blocks) != len(parts) // 2:
        raise ValueError(f"sql/{module}.sql has a block name twice")
    return blocks
