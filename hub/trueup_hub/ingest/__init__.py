"""Batches of agents become rows, rollups and digests, in one transaction each."""

from trueup_hub.ingest.apply import apply_batch
from trueup_hub.ingest.changes import CHANNEL
from trueup_hub.ingest.identity import contact
from trueup_hub.ingest.position import position
from trueup_hub.ingest.zones import add_zone

__all__ = ["CHANNEL", "add_zone", "apply_batch", "contact", "position"]
