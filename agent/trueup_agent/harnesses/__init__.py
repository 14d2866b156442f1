"""The harnesses of `trueup_shared.harnesses`, each imported when it is first asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module

from trueup_agent.harnesses.base import Harness
from trueup_shared.harnesses import DATA_VERSIONS


class _Harnesses(Mapping[str, Harness]):
    def __init__(self) -> None:
        self._loaded: dict[str, Harness] = {}

    def __getitem__(self, id_: str) -> Harness:
        if id_ not in self._loaded:
            if id_ not in DATA_VERSIONS:
                raise KeyError(id_)
            self._loaded[id_] = import_module(f"trueup_agent.harnesses.{id_.replace('-', '_')}").HARNESS
        return self._loaded[id_]

    def __contains__(self, id_: object) -> bool:
        return id_ in DATA_VERSIONS

    def __iter__(self) -> Iterator[str]:
        return iter(DATA_VERSIONS)

    def __len__(self) -> int:
        return len(DATA_VERSIONS)


HARNESSES: Mapping[str, Harness] = _Harnesses()
