"""What figures were measured on."""

from __future__ import annotations

import subprocess

import torch

from impasto.hardware import hardware_name


def device_name() -> str:
    """The name of the graphics card, or of the processor where there is none."""
    return hardware_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def commit() -> str:
    """The commit of the working tree, with -dirty if it was changed since; unknown outside a repository."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return git.stdout.strip() or "unknown"
