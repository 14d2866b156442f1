"""Times of HTTP requests, one after the other and by four clients at once; what servers use meanwhile."""

import http.client
import math
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from measure import children

CLIENTS = 4
ENOUGH = 200  # requests of a kind
_HERTZ = os.sysconf("SC_CLK_TCK")


class Server(NamedTuple):
    url: str
    headers: dict[str, str]


class Times(NamedTuple):
    """Milliseconds, ascending; the times of one client, and of four at once. `size`: bytes of an answer as sent."""

    alone: list[float]
    at_once: list[float]
    size: int

    def __str__(self) -> str:
        crowd = f"; {CLIENTS} at once: p99 {p(self.at_once, 99):,.0f}" if self.at_once else ""
        return f"p50 {p(self.alone, 50):,.0f}, p99 {p(self.alone, 99):,.0f} ms (n={len(self.alone)}{crowd})"


def p(times: Sequence[float], percent: int) -> float:
    """The least time that so many percent of all do not exceed."""
    return times[max(0, math.ceil(len(times) * percent / 100) - 1)]


def timed(server: Server, paths: Sequence[str], seconds: float, *, least: int = 5, crowd: bool = True) -> Times:
    """Each time is that of all `paths`, one after the other. Either ends after `seconds`, or when there are enough."""
    _client(server, paths, 0, least=1, most=2)  # connections and caches as in a hub that is in use
    alone, size = _client(server, paths, seconds, least, ENOUGH)
    at_once: list[float] = []
    if crowd:
        with ThreadPoolExecutor(CLIENTS) as pool:
            each = [pool.submit(_client, server, paths, seconds, 1, ENOUGH // CLIENTS) for _ in range(CLIENTS)]
            at_once = [one for client in each for one in client.result()[0]]
    return Times(sorted(alone), sorted(at_once), size)


def _client(server: Server, paths: Sequence[str], seconds: float, least: int, most: int) -> tuple[list[float], int]:
    base = urlsplit(server.url)
    connection = http.client.HTTPConnection(base.netloc, timeout=900)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < least or (len(times) < most and time.perf_counter() < until):
        started, size = time.perf_counter(), 0
        for path in paths:
            connection.request("GET", f"{base.path}/{path}", headers={"Accept-Encoding": "gzip", **server.headers})
            reply = connection.getresponse()
            body = reply.read()
            size += len(body)
            if reply.status != 200:
                raise SystemExit(f"{server.url}/{path}: {reply.status} {body[:500]!r}")
        times.append((time.perf_counter() - started) * 1000)
    connection.close()
    return times, size


class Used:
    """CPU seconds and peak memory of processes and all that they started, from `with` to its end."""

    def __init__(self, **roots: int | None) -> None:
        self._roots = {name: pid for name, pid in roots.items() if pid is not None}
        self._seconds = dict.fromkeys(self._roots, 0.0)
        self._peaks = dict.fromkeys(self._roots, 0.0)  # MB; what processes share counts once
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._add(-1)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._add(1)
        self._done.set()
        self._sampler.join()

    def _add(self, sign: int) -> None:
        for name, pid in self._roots.items():
            self._seconds[name] += sign * _cpu(pid)

    def _sample(self) -> None:
        while not self._done.wait(0.5):
            for name, pid in self._roots.items():
                self._peaks[name] = max(self._peaks[name], sum(map(_proportional, children(pid))))

    def __str__(self) -> str:
        return "; ".join(
            f"{name}: {self._seconds[name]:,.0f} s CPU, {self._peaks[name]:,.0f} MB" for name in self._roots
        )


def _cpu(root: int) -> float:
    """Of a tree that lives: user and system time, that of ended children included."""
    ticks = 0
    for pid in children(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / _HERTZ


def _proportional(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
