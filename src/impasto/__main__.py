"""The entry point: ``impasto`` and ``python -m impasto``."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C while it is still being imported is no reason for a traceback either."""
    wait_briefly()
    try:
        from impasto.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def wait_briefly() -> None:
    """Have PyTorch's threads spin for some 0.1 ms where they wait for each other, not for several.

    GNU OpenMP's own 300,000 rounds hold a core that the thread waited for may need: what took 11 s by itself took 379 s
    beside two busy processes on two cores, and takes 57 s with so many rounds (33 s with 1,000, but then 14 s by
    itself).
    It reads this when PyTorch is loaded; what the user has set stays, and other builds of OpenMP do not look at it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


if __name__ == "__main__":
    main()
