"""Where the given data lies beside the checkout: real transcripts, samples, the corpus generator. Read in place."""

from pathlib import Path

import pytest

GIVEN = Path(__file__).resolve().parents[2] / "shared"
CORPORA = GIVEN / "corpora"
SAMPLES = GIVEN / "formats" / "samples"
GEN_CORPUS = GIVEN / "bench" / "gen_corpus.py"

# A user's clone does not have them. CI does, and fails on a skip for this reason (tests/allowed_skips.txt).
needs_given = pytest.mark.skipif(not CORPORA.is_dir(), reason="the given data is not beside this checkout")
