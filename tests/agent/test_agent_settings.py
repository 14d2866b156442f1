"""What the agent is told from outside, and what it says when that makes no sense."""

from pathlib import Path

import pytest

from trueup_agent import settings
from trueup_agent.policy import Policy, project_folder
from trueup_shared.settings import SettingError


def test_flag_comes_before_environment_before_file_before_default(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[agent]\nlabel = "file"\nhub_url = "https://file"\nhub_ca = "~/ca.pem"\n[harness.claude]\nroots = ["/logs"]\n'
    )
    loaded = settings.load(tmp_path, None, {"TRUEUP_LABEL": "env", "TRUEUP_HUB_URL": "https://env"}, {"label": "flag"})
    assert (loaded.agent.label, loaded.agent.hub_url) == ("flag", "https://env")
    assert loaded.agent.hub_ca == Path("~/ca.pem").expanduser()
    assert loaded.agent.rescan_seconds == 60
    assert loaded.places.harnesses["claude"].roots == ["/logs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[agent]\nlable = 'x'\n", "unknown setting 'lable'"),
        ("[agnet]\n", "unknown section 'agnet'"),
        ("agent = 3\n", r"write \[agent\]"),
        ("[harness.claude]\nroot = 'x'\n", r"\[harness.claude\].*root"),
        ("[harness.claude]\nroots = ['']\n", r"\[harness.claude\].*one of them is empty"),
        ("[agent]\nrescan_seconds = 'often'\n", "rescan_seconds"),
        ("[agent]\nrescan_seconds = 0\n", "rescan_seconds"),
        ("[agent]\nsend_project = 'all'\n", "send_project"),
        ("[agent\n", "config.toml"),
        ("[harness.clade]\nroots = []\n", r"\[harness.clade\]: no such harness; there are aider, amp"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingError, match=words):
        settings.load(tmp_path, None, {})


def test_a_settings_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="not found"):
        settings.load(tmp_path, tmp_path / "missing.toml", {})


def test_projects_travel_as_policy_says_and_worktrees_belong_to_their_project() -> None:
    path = "/home/ana/shop/.claude/worktrees/fix-cart"
    assert Policy().sent_project(path) == "shop"
    assert Policy(project="path").sent_project(path) == "/home/ana/shop"
    assert Policy(project="none").sent_project(path) is None
    assert Policy(project="hash").sent_project(path) == Policy(project="hash").sent_project("/home/ana/shop")
    assert Policy().sent_project("C:\\Users\\ana\\shop\\") == "shop"
    assert Policy().sent_project("/") is Policy().sent_project(None) is None
    assert project_folder("/home/ana/shop/.worktrees/x/src") == "/home/ana/shop"


def test_users_do_not_travel_unless_policy_says_so() -> None:
    assert Policy().sent_os_user("ana") is None
    assert Policy(os_user="name").sent_os_user("ana") == "ana"
    assert Policy(os_user="hash").sent_os_user("ana") not in ("ana", None)
