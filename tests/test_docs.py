"""What the documents name exists, and what exists is named: settings, commands, links."""

import re
import runpy
from importlib.metadata import entry_points
from pathlib import Path

import click
import msgspec
import pytest

from trueup_agent.harnesses import HARNESSES
from trueup_agent.settings import AgentSettings, HarnessSettings
from trueup_hub.settings import HubSettings
from trueup_shared.metrics import COUNTERS

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
# What speaks to people beside the documents: messages, help, the page, comments of the deploy files.
SPEAKING = sorted(
    path
    for pattern in (
        "agent/**/*.py",
        "hub/trueup_hub/**/*.py",
        "shared/**/*.py",
        "hub/trueup_hub/dashboard/src/**/*.*",
        "deploy/*.*",
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and "node_modules" not in path.parts and "trueup " in path.read_text(errors="replace")
)
SETTINGS = (ROOT / "docs" / "settings.md").read_text()


def documented(section: str) -> set[str]:
    (text,) = re.findall(rf"^## `\[{section}\]`.*?\n(.*?)(?=^## |\Z)", SETTINGS, flags=re.DOTALL | re.MULTILINE)
    first_cells = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, flags=re.MULTILINE)
    return set(re.findall(r"`(\w+)`", " ".join(first_cells)))


@pytest.mark.parametrize(
    ("section", "kind"), [("agent", AgentSettings), ("hub", HubSettings), (r"harness\.NAME", HarnessSettings)]
)
def test_every_setting_is_documented_and_every_documented_one_exists(section: str, kind: type[msgspec.Struct]) -> None:
    fields = {field.name for field in msgspec.structs.fields(kind)} - {"data_dir"}
    assert documented(section) == fields


def test_the_page_of_harnesses_is_what_make_harnesses_writes() -> None:
    make_harnesses = runpy.run_path(str(ROOT / "deploy" / "make_harnesses.py"))
    assert make_harnesses["document"]() == (ROOT / "docs" / "harnesses.md").read_text()


def test_every_harness_says_what_it_reports_and_names_counters_that_exist() -> None:
    for harness in HARNESSES.values():
        assert set(harness.about.counters) <= set(COUNTERS), harness.id
        assert harness.about.sources, harness.id
        assert all(re.fullmatch(r"[A-Z_]+", name) for name in harness.about.variables), harness.id


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert not [target for target in targets if not (path.parent / target).exists()]


def commands(command: click.Command, name: str) -> list[str]:
    if not isinstance(command, click.Group):
        return [name]
    return [full for child in command.commands.values() for full in commands(child, f"{name} {child.name}")]


def test_every_command_is_in_the_documents() -> None:
    documents = "\n".join(path.read_text() for path in DOCS if path.name != "CHANGELOG.md")
    known = [full for p in entry_points(group="trueup.commands") for full in commands(p.load(), f"trueup {p.name}")]
    assert len(known) > 15
    assert not [command for command in known if f"{command} " not in documents and f"{command}`" not in documents]


def is_known(words: list[str]) -> bool:
    """Do these words of a command line name a command, and after it nothing but options that it has?"""
    [point] = entry_points(group="trueup.commands", name=words[0])
    command: click.Command = point.load()
    for word in words[1:]:
        if word.startswith("--"):
            if not any(word in option.opts for option in command.params):
                return False
        elif isinstance(command, click.Group):
            if (child := command.get_command(click.Context(command), word)) is None:
                return False
            command = child
    return True


@pytest.mark.parametrize("path", [*DOCS, *SPEAKING], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_that_documents_and_messages_tell_people_to_run_exist(path: Path) -> None:
    told = re.findall(r"trueup ((?:agent|usage|pg|hub|up)\b(?: (?:--)?[a-z]+(?:-[a-z]+)*)*)", path.read_text())
    assert not [line for line in told if not is_known(line.split())]
