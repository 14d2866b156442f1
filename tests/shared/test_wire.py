"""The bytes of keys, bodies and digests are what docs/wire.md says, for ever, and independent of any library."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup_shared import keys, wire

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "wire" / "set1.json").read_text())
BODIES = {1: wire.SessionBody, 2: wire.MessageBody, 3: wire.EventBody}


def pack(value: Any) -> bytes:
    """A second, plain implementation of the few msgpack forms that docs/wire.md allows."""
    if isinstance(value, int):
        for limit, head, size in ((1 << 7, None, 1), (1 << 8, 0xCC, 1), (1 << 16, 0xCD, 2), (1 << 32, 0xCE, 4)):
            if value < limit:
                return (b"" if head is None else bytes((head,))) + value.to_bytes(size, "big")
        return b"\xcf" + value.to_bytes(8, "big")
    if isinstance(value, str):
        data = value.encode()
        if len(data) < 32:
            return bytes((0xA0 | len(data),)) + data
        return (b"\xd9" + bytes((len(data),)) if len(data) < 256 else b"\xda" + len(data).to_bytes(2, "big")) + data
    if isinstance(value, bytes):
        return b"\xc4" + bytes((len(value),)) + value
    if isinstance(value, list):
        head = bytes((0x90 | len(value),)) if len(value) < 16 else b"\xdc" + len(value).to_bytes(2, "big")
        return head + b"".join(map(pack, value))
    items = sorted(value.items(), key=lambda item: int(item[0]))
    head = bytes((0x80 | len(items),)) if len(items) < 16 else b"\xde" + len(items).to_bytes(2, "big")
    return head + b"".join(pack(number) + pack(field) for number, field in items)


def fields_of(body: wire.Body) -> dict[str, Any]:
    """Field number -> value, absent ones left out."""
    named = [(field.encode_name, getattr(body, field.name)) for field in msgspec.structs.fields(body)]
    return {number: value for number, value in named if value is not None}


def test_golden_keys_have_their_bytes() -> None:
    for case in GOLDEN["keys"]:
        assert getattr(keys, case["function"])(*case["parts"]).hex() == case["hex"]


@pytest.mark.parametrize("case", GOLDEN["rows"], ids=lambda case: case["name"])
def test_golden_rows_have_their_bytes_and_digest(case: dict[str, Any]) -> None:
    body = msgspec.msgpack.decode(bytes.fromhex(case["body"]), type=BODIES[case["table"]])
    assert wire.encode_body(body).hex() == case["body"]
    digest = keys.row_digest(case["table"], bytes.fromhex(case["key"]), wire.encode_body(body))
    assert keys.digest_bytes(digest).hex() == case["digest"]


def test_golden_sum_is_the_sum_modulo_two_to_the_128() -> None:
    total = sum(int(case["digest"], 16) for case in GOLDEN["rows"])
    assert keys.digest_bytes(total).hex() == GOLDEN["sum"]


counters = st.one_of(st.none(), st.integers(0, 2**53 - 1))
times = st.one_of(st.none(), st.integers(1_420_070_400_000_000, 4_102_444_799_999_999))
bits = st.one_of(st.none(), st.integers(0, 511))
texts = st.one_of(st.none(), st.text(min_size=1, max_size=300))
keys16 = st.one_of(st.none(), st.binary(min_size=16, max_size=16))


@given(
    st.builds(
        wire.EventBody,
        owner_key=keys16,
        session_key=keys16,
        at=times,
        model=texts,
        project=texts,
        input_tokens=counters,
        output_tokens=counters,
        context_tokens=counters,
        lower_bounds=bits,
        reported_cost=st.sampled_from([None, "0", "12.5", "0.000001"]),
    )
)
def test_an_event_is_encoded_as_specified_whatever_it_holds(body: wire.EventBody) -> None:
    assert wire.encode_body(body) == pack(fields_of(body))
    assert msgspec.msgpack.decode(wire.encode_body(body), type=wire.EventBody) == body


@given(st.builds(wire.MessageBody, session_key=keys16, tool_names=st.one_of(st.none(), st.lists(st.text(max_size=40)))))
def test_a_message_is_encoded_as_specified_whatever_it_holds(body: wire.MessageBody) -> None:
    assert wire.encode_body(body) == pack(fields_of(body))


def test_a_reported_zero_and_an_unknown_have_different_digests() -> None:
    zero, unknown = wire.EventBody(input_tokens=0), wire.EventBody()
    key = bytes(16)
    assert keys.row_digest(3, key, wire.encode_body(zero)) != keys.row_digest(3, key, wire.encode_body(unknown))


def test_a_row_digest_covers_set_table_key_and_body() -> None:
    key, body = bytes(range(16)), wire.encode_body(wire.SessionBody(harness="claude"))
    expected = blake2b(b"\x01\x01" + key + body, digest_size=16).digest()
    assert keys.digest_bytes(keys.row_digest(keys.SESSIONS, key, body)) == expected


def test_parts_of_a_key_cannot_run_into_each_other() -> None:
    assert (
        len({keys.key("ab", "c"), keys.key("a", "bc"), keys.key("abc"), keys.key("abc", None), keys.key("abc", "")})
        == 5
    )


def test_fields_that_a_newer_agent_adds_are_left_out_not_refused() -> None:
    newer = msgspec.msgpack.encode({"20": 5, "11": 7, "99": "new"})
    assert msgspec.msgpack.decode(newer, type=wire.EventBody) == wire.EventBody(lower_bounds=5, input_tokens=7)


@pytest.mark.parametrize(
    "field", [{"3": 5}, {"11": -1}, {"11": 2**53}, {"1": b"short"}, {"7": ""}, {"23": "1e5"}, {"20": 512}]
)
def test_a_value_that_cannot_be_stored_is_refused_where_it_is_decoded(field: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(field), type=wire.EventBody)
