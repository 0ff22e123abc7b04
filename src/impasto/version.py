"""The version of impasto, in a place of its own so that the record of a picture can name it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
