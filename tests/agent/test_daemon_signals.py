"""A daemon that ends to be started anew, and is told to stop meanwhile, stops."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from claude_home import loaded
from trueup_agent import daemon
from trueup_agent.notify import Notifier


@pytest.mark.parametrize("told", [False, True])
async def test_a_stop_that_comes_while_it_renews_itself_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    async def work(self: daemon.Daemon, stop: asyncio.Event, notifier: Notifier) -> None:
        self.renewing = True
        if told:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(daemon.Daemon, "work", work)
    renews = await daemon.run(loaded(tmp_path, tmp_path / "data"), Notifier(None, None))
    assert renews is not told
