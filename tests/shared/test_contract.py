"""Names that others rely on: counters, metrics, documents of the wire. Changed only together with a new number."""

import json
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import HARNESSES
from trueup_agent.policy import Policy
from trueup_shared import wire
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.metrics import BIT, COUNTERS, METRICS, TOTAL_PARTS

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "contract.json").read_text())
DOCUMENTS = (
    wire.SessionBody,
    wire.MessageBody,
    wire.EventBody,
    wire.Batch,
    wire.Receipt,
    wire.Rejection,
    wire.Position,
    wire.EnrollRequest,
    wire.EnrollReply,
    wire.Heartbeat,
    wire.HeartbeatReply,
    wire.SourceStatus,
    wire.AgentInfo,
    wire.ParserVersion,
)


def test_counters_keep_their_order_and_bits() -> None:
    assert [*COUNTERS] == GOLDEN["counters"]
    assert GOLDEN["bits"] == BIT
    assert [*TOTAL_PARTS] == GOLDEN["total_parts"]


def test_metrics_keep_their_names_and_kinds() -> None:
    assert [msgspec.structs.asdict(metric) for metric in METRICS] == GOLDEN["metrics"]


def test_every_harness_of_the_table_has_its_package_under_its_id() -> None:
    assert [harness.id for harness in HARNESSES.values()] == [*DATA_VERSIONS]


def test_what_is_sent_by_default_stays_what_it_is() -> None:
    assert Policy().as_dict() == GOLDEN["policy"]


def test_documents_of_the_wire_keep_the_names_of_their_fields() -> None:
    names = {kind.__name__: {f.name: f.encode_name for f in msgspec.structs.fields(kind)} for kind in DOCUMENTS}
    for document, fields in GOLDEN["documents"].items():
        assert fields.items() <= names[document].items(), document
