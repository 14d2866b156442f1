"""`python -m trueup_agent` is `trueup`."""

from trueup_shared.cli import main

main()
