"""What the documents name exists, and what exists is named: settings, commands, links."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import click
import msgspec
import pytest

from trueup_agent.harnesses import HARNESSES
from trueup_agent.settings import AgentSettings, HarnessSettings
from trueup_hub.settings import HubSettings

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
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


def test_every_harness_is_named_in_the_settings_page() -> None:
    assert all(f"`{name}`" in SETTINGS for name in HARNESSES)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert not [target for target in targets if not (path.parent / target).exists()]


def commands(group: click.Command, name: str) -> set[str]:
    if not isinstance(group, click.Group):
        return {name}
    context = click.Context(group)
    children = {child: group.get_command(context, child) for child in group.list_commands(context)}
    return {full for child, command in children.items() if command for full in commands(command, f"{name} {child}")}


def test_commands_that_the_documents_tell_people_to_run_exist() -> None:
    known: set[str] = set()
    for point in entry_points(group="trueup.commands"):
        known |= commands(point.load(), f"trueup {point.name}")
    told = set()
    for path in DOCS:
        for line in re.findall(r"trueup ((?:agent|usage|pg|hub|up)\b(?: [a-z-]+)*)", path.read_text()):
            told.add(f"trueup {line}")
    groups = {known_one.rsplit(" ", 1)[0] for known_one in known}
    assert not {t for t in told if t not in groups and not any(t == k or t.startswith(f"{k} ") for k in known)}
