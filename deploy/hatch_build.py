"""Build hook: the dashboard goes into wheel and sdist. An editable install builds nothing (make does)."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))
import dashboard


class DashboardHook(BuildHookInterface[Any]):
    def dependencies(self) -> list[str]:
        """Asked for in isolated builds only, and only where no system Node is good enough."""
        return [] if dashboard.is_built() or dashboard.system_npm_is_good() else [dashboard.NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            dashboard.build()
