"""What is asked of the machine."""

from trueup_shared.machine import is_timezone, timezone


def test_the_environment_names_the_machines_zone() -> None:
    assert timezone({"TZ": "Asia/Kathmandu"}) == "Asia/Kathmandu"
    assert timezone({"TZ": ":Europe/Paris"}) == "Europe/Paris"
    assert timezone({"TZ": "Etc/UTC"}) == "UTC"


def test_a_machine_always_has_a_zone() -> None:
    assert is_timezone(timezone({}))
    assert is_timezone(timezone({"TZ": "nonsense"}))


def test_only_names_of_the_list_are_zones() -> None:
    assert not any(map(is_timezone, ("", "Mars/Olympus", "../etc/passwd", "Europe", "/etc/localtime", "a\0b")))
