"""Money is whole billionths of its unit (nanodollars) everywhere inside, and whole millionths on the outside."""

from decimal import ROUND_HALF_UP, Decimal


def nano(amount: str) -> int:
    """A decimal string in billionths, half up."""
    return int((Decimal(amount) * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def micro(nano: int) -> int:
    """Billionths to millionths, half up: once, after summing."""
    return (nano + 500) // 1000
