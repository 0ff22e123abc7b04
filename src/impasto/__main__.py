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
    """Have PyTorch's threads spin for microseconds where they wait for each other, not for milliseconds.

    GNU OpenMP's own 300,000 rounds hold a core that the thread waited for may need: beside two other programs on two
    cores that makes a run many times slower. It reads this when PyTorch is loaded; what the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


if __name__ == "__main__":
    main()
