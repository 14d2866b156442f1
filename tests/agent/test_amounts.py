"""Costs as logs report them: decimal text, or nothing."""

import pytest

from trueup_agent.harnesses.values import amount


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1, "0.1"), (12, "12"), (1e-7, "0.0000001"), (0.1 + 0.2, "0.30000000000000004"), (10**9, None)]
    + [(value, None) for value in (None, True, False, -1, -0.5, float("nan"), float("inf"))],
)
def test_an_amount_is_a_number_that_can_be_paid(value: float | None, text: str | None) -> None:
    assert amount(value) == text
