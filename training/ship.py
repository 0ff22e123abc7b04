"""From a checkpoint to the file that the package ships: maps for every layer in closed form, numbers in half precision.

python -m training.ship FOLDER PICTURES TARGET.safetensors

The taps that were taught keep the maps that were learned; all other layers get the map with the least squared error.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor

from impasto.features import Extractor
from impasto.hardware import has_native_bf16
from impasto.networks import COMPACT, VGG19
from impasto.weights import fingerprint, load_weights
from training.fit import fitted_map, inner_products
from training.pictures import Corpus, disturbed
from training.student import Student
from training.train import CHECKPOINT

__all__ = ["ship"]


def ship(student: Student, teacher: Extractor, pictures: Sequence[Tensor], target: Path) -> None:
    """Write kernels, biases and maps as float16, beside ``target`` and renamed into place."""
    tensors, learned = student.weights(), student.maps
    others = [layer for layer in student.network.layers if layer not in learned]
    products = inner_products(student.extractor(teacher.dtype), teacher, others, pictures)
    for layer in student.network.layers:
        tensors[f"{layer}.map"] = learned[layer] if layer in learned else fitted_map(*products[layer])
    halves = {name: tensor.detach().cpu().half().contiguous() for name, tensor in tensors.items()}
    if not all(bool(tensor.isfinite().all()) for tensor in halves.values()):
        raise SystemExit("Some numbers do not fit into half precision.")
    metadata = {
        "network": student.network.name,
        "licence": COMPACT.licence,
        "fingerprint": fingerprint({name: tensor.float() for name, tensor in halves.items()}),
    }
    partial = target.with_name(f"{target.name}.part")
    save_file(halves, partial, metadata)
    partial.chmod(0o644)
    partial.replace(target)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file for the package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("target", type=Path)
    parsed = parser.parse_args(arguments)
    state = torch.load(parsed.folder / CHECKPOINT, map_location="cpu")
    if state["blocks"] != COMPACT.blocks:
        raise SystemExit(f"The student has {state['blocks']}, and the package ships {COMPACT.blocks}: train that one.")
    student = Student.restored(COMPACT, state["average"], state["units"])
    dtype = torch.bfloat16 if has_native_bf16(torch.device("cpu")) else torch.float32
    generator = Generator().manual_seed(0)
    corpus, _ = Corpus.read(parsed.pictures)
    crops = [corpus.crops(8, 128, generator) for _ in range(12)]
    pictures = [disturbed(crop, generator) if index % 2 else crop for index, crop in enumerate(crops)]
    ship(student, Extractor(VGG19, load_weights(VGG19), dtype=dtype), pictures, parsed.target)
    print(f"{parsed.target}: {parsed.target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
