"""Distil the built-in network from VGG-19.

python -m training PICTURES FOLDER [--shape 16x2/48x2/72x4/144x4/256] [--rounds 100] [--device cuda]

PICTURES is a folder of JPEG and PNG pictures, any size from 96 pixels. Everything is kept in FOLDER after each round:
the same command goes on where it was, with more --rounds if you like, and the same pictures and weights of VGG-19.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import torch

from impasto.features import Extractor
from impasto.hardware import has_native_bf16
from impasto.networks import COMPACT, VGG19
from impasto.weights import fingerprint, load_weights
from training.fit import first_student
from training.held_out import HeldOut
from training.pictures import Corpus, digest_of
from training.student import Student, network_of_shape
from training.train import CHECKPOINT, Plan, Trainer


def main(arguments: Sequence[str] | None = None) -> None:
    """Begin a run, or go on with the one in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=network_of_shape, default=COMPACT, help="channels: training.study has the form")
    parser.add_argument("--start", choices=("pruned", "random"), default="pruned")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for option in fields(Plan):
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=type(option.default), default=option.default)
    parsed = parser.parse_args(arguments)
    plan = Plan(**{option.name: getattr(parsed, option.name) for option in fields(Plan)})
    device = torch.device(parsed.device)
    dtype = torch.bfloat16 if has_native_bf16(device) else torch.float32
    torch.manual_seed(plan.seed)
    parsed.folder.mkdir(parents=True, exist_ok=True)
    weights = load_weights(VGG19)
    teacher = Extractor(VGG19, weights, device=device, dtype=dtype)
    corpus, held_out = Corpus.read(parsed.pictures)
    sources = {"weights of VGG-19": fingerprint(weights), "pictures": digest_of(parsed.pictures)}
    checkpoint = parsed.folder / CHECKPOINT
    state = torch.load(checkpoint, map_location=device) if checkpoint.exists() else None
    network = parsed.shape
    if state and state["blocks"] != network.blocks:
        raise SystemExit(
            f"'{parsed.folder}' has a student of {state['blocks']}: use the same --shape, or a new folder."
        )
    if state:
        _check_sources(state.get("sources", sources), sources, parsed.folder)
        student = Student.restored(network, state["student"], state["units"])
    else:
        student = first_student(parsed.start, network, teacher, corpus, plan.seed)
    held = HeldOut.prepare(teacher, held_out)
    trainer = Trainer(plan, teacher, corpus, held, student.to(device), parsed.folder, sources)
    if state:
        trainer.restore(state)
    try:
        trainer.run()
    except KeyboardInterrupt:
        print("Stopped; the same command goes on after the last whole round.")
        raise SystemExit(130) from None


def _check_sources(before: Mapping[str, str], now: Mapping[str, str], folder: Path) -> None:
    """Raise SystemExit if a run learned from something else: pictures that were held out then would be taught now."""
    others = [name for name, digits in now.items() if before[name] != digits]
    if others:
        raise SystemExit(f"'{folder}' was begun with other {' and '.join(others)}: use those, or a new folder.")


if __name__ == "__main__":
    main()
