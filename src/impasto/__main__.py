"""``python -m impasto`` is the same as ``impasto``."""

from impasto.cli.app import main

if __name__ == "__main__":
    main()
