"""Short trials of shapes of the student: the same lessons in the same order, features and Gram matrices alone.

python -m training.study PICTURES SHAPE ... [--steps 300] [--start pruned]

SHAPE gives the channels of each convolution, block by block, as 16x2/48x2/72x4/144x4/256. With +residual at its end,
the second and third convolution of blocks 3 and 4 make a residual block (He et al. 2016). Prints a line of JSON for
each: the errors on lessons that were not taught, summed over layers and by layer, and the seconds of a step.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Generator, Tensor

from impasto.chain import Chain, WayBack
from impasto.features import Extractor
from impasto.hardware import has_native_bf16
from impasto.networks import VGG19
from impasto.weights import load_weights
from training.fit import first_student
from training.lessons import Lesson, ordinary_lessons
from training.losses import feature_errors, moment_errors, total
from training.pictures import Corpus
from training.student import Student, network_of_shape
from training.train import Plan, optimizers, take_step

RESIDUAL = "+residual"


@dataclass(frozen=True)
class _ResidualChain(Chain):
    """What the second convolution of a block was given is added to what the third one gives."""

    inputs: dict[str, Tensor] = field(default_factory=dict)

    def _convolved(self, signal: Tensor, name: str, back: WayBack | None) -> Tensor:
        if back is not None:
            raise NotImplementedError("weights that do not learn")
        self.inputs[name] = signal
        result = super()._convolved(signal, name, back)
        shortcut = self.inputs.get(f"{name[:-1]}2") if name in ("conv3_3", "conv4_3") else None
        return result if shortcut is None else result + shortcut


class _ResidualStudent(Student):
    def extractor(self, dtype: torch.dtype) -> Extractor:
        extractor = super().extractor(dtype)
        extractor.chain = _ResidualChain(self.network, extractor.weights)
        return extractor


def taught(student: Student, lessons: list[Lesson], plan: Plan, steps: int, dtype: torch.dtype) -> float:
    """Teach for so many steps, the rate falling to 0; return the seconds of a step."""
    generator = Generator().manual_seed(plan.seed)
    all_optimizers = optimizers(student, plan)
    began = time.perf_counter()
    for step in range(steps):
        rate = plan.learning_rate * min(1.0, (step + 1) / 30, 1 - step / steps)
        lesson = lessons[int(torch.randint(len(lessons), (), generator=generator))]
        seen = student.extractor(dtype)(lesson.pictures, lesson.features)
        errors = total(feature_errors(student, seen, lesson)) + plan.moments * total(
            moment_errors(student, seen, lesson)
        )
        take_step(student, errors, all_optimizers, rate)
        float(errors.detach())  # waits for the device
    return (time.perf_counter() - began) / max(steps, 1)


@torch.no_grad()
def examined(student: Student, lessons: list[Lesson], dtype: torch.dtype) -> dict[str, dict[str, float]]:
    """The errors of features and of Gram matrices by layer, means over lessons."""
    sums: dict[str, dict[str, float]] = {"features": {}, "moments": {}}
    for lesson in lessons:
        seen = student.extractor(dtype)(lesson.pictures, lesson.features)
        for kind, errors in (("features", feature_errors), ("moments", moment_errors)):
            for tap, error in errors(student, seen, lesson).items():
                sums[kind][tap] = sums[kind].get(tap, 0.0) + float(error) / len(lessons)
    return sums


def _shape(text: str) -> str:
    """What ``network_of_shape`` can read, once its end is off; raise ValueError for others."""
    network_of_shape(text.removesuffix(RESIDUAL))
    return text


def main() -> None:
    """Try each shape in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("shapes", nargs="+", type=_shape, metavar="SHAPE")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lessons", type=int, default=96)
    parser.add_argument("--start", choices=("pruned", "random"), default="pruned")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if has_native_bf16(device) else torch.float32
    teacher = Extractor(VGG19, load_weights(VGG19), device=device, dtype=dtype)
    corpus, held_out = Corpus.read(arguments.pictures)
    lessons = list(ordinary_lessons(teacher, corpus, arguments.lessons, Generator().manual_seed(5)))
    others = list(ordinary_lessons(teacher, held_out, 12, Generator().manual_seed(6)))
    for shape in arguments.shapes:
        network = network_of_shape(shape.removesuffix(RESIDUAL))
        student = first_student(arguments.start, network, teacher, corpus, 0)
        if shape.endswith(RESIDUAL):
            student = _ResidualStudent(**vars(student))
        student = student.to(device)
        seconds = taught(student, lessons, Plan(), arguments.steps, dtype)
        errors = examined(student, others, dtype)
        line = {
            "shape": shape,
            "start": arguments.start,
            "steps": arguments.steps,
            "seconds of a step": round(seconds, 3),
        }
        for kind, by_layer in errors.items():
            line[kind] = round(sum(by_layer.values()), 4)
            line[f"{kind} by layer"] = {layer: round(error, 3) for layer, error in by_layer.items()}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
