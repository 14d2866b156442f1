"""Batches of agents become rows, rollups and digests, in one transaction each."""

from trueup_hub.ingest.apply import CHANNEL, apply_batch, position
from trueup_hub.ingest.zones import add_zone

__all__ = ["CHANNEL", "add_zone", "apply_batch", "position"]
