"""The loop: rounds of lessons, each gone through several times; a checkpoint and the held-out figures as it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from impasto.features import Extractor
from training.canvases import Canvas, advanced, new_canvas
from training.goals import Goal, own_metric, student_metric
from training.held_out import HeldOut
from training.lessons import PIXELS, Lesson, lesson_of, ordinary_lessons, random_side
from training.losses import feature_errors, gradient_error, moment_errors, total
from training.pictures import Corpus
from training.student import PIXEL, Student

__all__ = ["Plan", "Trainer", "optimizers", "take_step"]

CHECKPOINT = "checkpoint.pt"
FIGURES = "figures.jsonl"


@dataclass(frozen=True)
class Plan:
    """What is decided before a run.

    The rate of learning falls linearly to 0 over the last ``decay`` of all rounds: what it has found shows only then.
    ``rounds`` may be raised later. ``moments`` and ``gradients`` weigh the errors beside that of the features, the
    gradients' ``gradients_from`` that round on.
    """

    rounds: int = 100
    decay: float = 1.0
    warmup: int = 100
    learning_rate: float = 1e-3
    lessons: int = 60
    passes: int = 3
    canvases: int = 24
    moments: float = 0.3
    gradients: float = 0.5
    gradients_from: int = 3
    averaging: float = 0.995
    seed: int = 0


@dataclass
class Trainer:
    """The student, its running average, the optimizer and the pictures under optimization: all that a run is.

    ``sources`` says, by SHA-256, what it learns from; ``errors`` are those of the last round.
    """

    plan: Plan
    teacher: Extractor
    corpus: Corpus
    held_out: HeldOut
    student: Student
    folder: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    canvases: list[Canvas] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)
    round: int = 0
    step: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.dtype = self.teacher.dtype
        self.average = self.student.to(self.teacher.device)
        self.optimizers = optimizers(self.student, self.plan)

    def run(self) -> None:
        """Teach until the plan is done; after each round a checkpoint, and its figures are written down."""
        if self.round and not self._is_noted():
            self._note()
        while self.round < self.plan.rounds:
            began = time.monotonic()
            self.errors = self._teach_round()
            self.round += 1
            self.seconds += time.monotonic() - began
            self.save()
            self._note()

    def _teach_round(self) -> dict[str, float]:
        generator = Generator().manual_seed(self.plan.seed * 1_000_003 + self.round)
        lessons = self._lessons(generator)
        sums: dict[str, float] = {}
        for _ in range(self.plan.passes):
            for index in torch.randperm(len(lessons), generator=generator).tolist():
                for name, value in self._learn(lessons[index]).items():
                    sums[name] = sums.get(name, 0.0) + value
        counts = {"gradient": max(1, sum(lesson.goal is not None for lesson in lessons))}
        return {name: value / self.plan.passes / counts.get(name, len(lessons)) for name, value in sums.items()}

    def _lessons(self, generator: Generator) -> list[Lesson]:
        lessons = list(ordinary_lessons(self.teacher, self.corpus, self.plan.lessons, generator))
        if self.round < self.plan.gradients_from:
            return lessons
        self._renew(generator)
        return lessons + [lesson_of(canvas, self.teacher) for canvas in self.canvases]

    def _renew(self, generator: Generator) -> None:
        """Move every picture under optimization on, one in four by VGG-19, and replace the oldest few."""
        with torch.no_grad():
            extractor, metric = self.student.extractor(self.dtype), student_metric(self.student)
        old = max(1, self.plan.canvases // 6)
        while len(self.canvases) < self.plan.canvases + old:
            side = random_side(generator)
            canvas = new_canvas(self.corpus, PIXELS // side**2, side, generator)
            self.canvases.append(canvas.to(self.teacher.device))
        self.canvases = self.canvases[old:]
        for index, canvas in enumerate(self.canvases):
            if index % 4 == self.round % 4:
                self.canvases[index] = advanced(canvas, self.teacher, own_metric, 4)
            else:
                self.canvases[index] = advanced(canvas, extractor, metric, 6)

    def _learn(self, lesson: Lesson) -> dict[str, float]:
        seen = self.student.extractor(self.dtype)(lesson.pictures, lesson.features)
        features, moments = feature_errors(self.student, seen, lesson), moment_errors(self.student, seen, lesson)
        loss = total(features) + self.plan.moments * total(moments)
        named = {"features": total(features), "moments": total(moments)}
        if lesson.goal is not None:
            named["gradient"] = gradient_error(self.student, lesson, self.dtype)
            loss = loss + self.plan.gradients * named["gradient"]
        take_step(self.student, loss, self.optimizers, self._rate())
        self.step += 1
        self._follow(self.student.parameters)
        return {name: float(value.detach()) for name, value in named.items()}

    def _rate(self) -> float:
        left = (self.plan.rounds - self.round) / (self.plan.rounds * max(self.plan.decay, 1e-9))
        return self.plan.learning_rate * min(1.0, (self.step + 1) / self.plan.warmup, left)

    def _follow(self, parameters: Mapping[str, Tensor]) -> None:
        share = 1 - min(self.plan.averaging, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, tensor in self.average.parameters.items():
                tensor.lerp_(parameters[name], share)

    def _is_noted(self) -> bool:
        """False after a run that was broken off between a checkpoint and the figures of its round."""
        file = self.folder / FIGURES
        lines = file.read_text().splitlines() if file.exists() else []
        return any(json.loads(line)["round"] == self.round for line in lines)

    def _note(self) -> None:
        figures: dict[str, Any] = {"round": self.round, "step": self.step, "minutes": round(self.seconds / 60, 2)}
        figures |= {name: round(value, 4) for name, value in self.errors.items()}
        if self.round % 5 == 0 or self.round == self.plan.rounds:
            figures["held_out"] = self.held_out.figures(self.average, self.dtype)
        print(json.dumps(figures), flush=True)
        with (self.folder / FIGURES).open("a") as file:
            file.write(json.dumps(figures) + "\n")

    def save(self) -> None:
        """Keep everything that the next round depends on, beside the last one and renamed over it."""
        state = {
            "plan": vars(self.plan),
            "sources": dict(self.sources),
            "blocks": self.student.network.blocks,
            "units": self.student.units,
            "round": self.round,
            "step": self.step,
            "seconds": self.seconds,
            "errors": self.errors,
            "student": self.student.parameters,
            "average": self.average.parameters,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "canvases": [{"pictures": canvas.pictures, **vars(canvas.goal)} for canvas in self.canvases],
        }
        partial = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, partial)
        partial.replace(self.folder / CHECKPOINT)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where ``save`` left off; what was planned otherwise is said, and follows the new plan."""
        for name, value in vars(self.plan).items():
            before = state["plan"].get(name)
            if before != value:
                print(json.dumps({"changed": name, "from": before, "to": value}), flush=True)
        self.round, self.step, self.seconds = state["round"], state["step"], state["seconds"]
        self.errors = state.get("errors", {})
        self.student.load(state["student"])
        self.average.load(state["average"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        for kept in state["canvases"]:
            pictures = kept.pop("pictures")
            self.canvases.append(Canvas(pictures, Goal(**kept)).to(self.teacher.device))


def optimizers(student: Student, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the kernels, which are matrices between hidden features, and Adam for the rest.

    Kernels of the first layer are small, as pixels are large, and have to learn slowly.
    """
    first, *kernels = student.kernels.values()
    muon = torch.optim.Muon(kernels, lr=plan.learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    rest = [*student.biases.values(), *student.slopes.values()]
    groups = [{"params": [first], "factor": 1 / PIXEL}, {"params": rest, "factor": 1.0}]
    adam = torch.optim.Adam(groups, lr=plan.learning_rate, betas=(0.9, 0.98))
    muon.param_groups[0]["factor"] = 1.0
    return [muon, adam]


def take_step(student: Student, loss: Tensor, by: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """Move the student down the gradient of ``loss``, which is clipped; not at all where it is not finite."""
    for optimizer in by:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(student.parameters.values(), 5.0)
    if not bool(norm.isfinite()):
        return
    for optimizer in by:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        optimizer.step()
