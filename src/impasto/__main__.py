"""The entry point: ``impasto`` and ``python -m impasto``."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C while it is still being imported is no reason for a traceback either."""
    try:
        from impasto.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
