"""Values that can be stored on both sides (design section 4): what does not fit is refused where it is decoded."""

from typing import Annotated

from msgspec import Meta, Raw

from trueup_shared.metrics import COUNTERS, MAX_COUNTER

Key = Annotated[bytes, Meta(min_length=16, max_length=16)]
Micros = Annotated[int, Meta(ge=1_420_070_400_000_000, lt=4_102_444_800_000_000)]  # UTC, 2015 up to 2100
Counter = Annotated[int, Meta(ge=0, le=MAX_COUNTER)]
Text = Annotated[str, Meta(min_length=1, max_length=512)]  # unknown is absent, never ''
CounterBits = Annotated[int, Meta(ge=0, lt=1 << len(COUNTERS))]
Decimal = Annotated[str, Meta(pattern=r"^\d{1,9}(\.\d{1,18})?\Z")]

# What stands around rows. Lists are bounded before they are built: a body of 64 MiB has room for 64 million rows of one
# byte, which would be gigabytes in memory.
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]  # msgspec: a bound must itself fit int64
Number = Annotated[int, Meta(ge=0, lt=1 << 31)]
Moment = Annotated[int, Meta(ge=0, lt=253_402_300_800_000_000)]  # microseconds UTC by any clock, up to the year 9999
Word = Annotated[str, Meta(max_length=512, pattern=r"^[^\x00]*\Z")]
PathText = Annotated[str, Meta(max_length=16_384, pattern=r"^[^\x00]*\Z")]
Rows = Annotated[list[Raw], Meta(max_length=200_000)]  # ten of today's largest batches: a later hub may take more
Words = Annotated[list[Word], Meta(max_length=100)]
WordMap = Annotated[dict[Word, Word], Meta(max_length=100)]
