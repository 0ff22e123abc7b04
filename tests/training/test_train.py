"""A run that was broken off goes on exactly; what is learned brings the student nearer."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Generator

from training import canvases, lessons
from training.held_out import HeldOut
from training.student import Student
from training.train import CHECKPOINT, FIGURES, Plan, Trainer

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="the training needs PyTorch 2.9 or later")

PLAN = Plan(rounds=3, warmup=2, lessons=2, passes=2, canvases=2, gradients_from=1, learning_rate=2e-3)


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """Lessons of two pictures of 32 pixels."""
    monkeypatch.setattr(lessons, "SIDES", (32,))
    for module in (
        lessons,
        __import__("training.train", fromlist=["train"]),
        __import__("training.held_out", fromlist=["x"]),
    ):
        monkeypatch.setattr(module, "PIXELS", 2 * 32 * 32)


@pytest.fixture
def trainer(teacher, small, corpus, tmp_path):
    """Call it for a trainer that keeps its things in a folder."""

    def new(folder: str, plan: Plan = PLAN, student: Student | None = None) -> Trainer:
        (tmp_path / folder).mkdir(exist_ok=True)
        if student is None:
            student = Student.random(small, Generator().manual_seed(0)).to("cpu")
            student.units["relu2_1"] = 50.0
        nothing = HeldOut(tuple(lessons.ordinary_lessons(teacher, corpus, 1, Generator().manual_seed(9))))
        return Trainer(plan, teacher, corpus, nothing, student, tmp_path / folder)

    return new


def test_a_resumed_run_ends_as_an_uninterrupted_one(trainer, small, tmp_path):
    whole = trainer("whole")
    whole.run()
    part = trainer("part")
    while part.round < 2:
        part._teach_round()
        part.round += 1
    part.save()
    state = torch.load(tmp_path / "part" / CHECKPOINT)
    again = trainer("part", student=Student.restored(small, state["student"], state["units"]).to("cpu"))
    again.restore(state)
    assert (again.round, again.step) == (part.round, part.step)
    again.run()
    for kind in ("student", "average"):
        expected, found = getattr(whole, kind).parameters, getattr(again, kind).parameters
        assert all(torch.equal(expected[name], found[name]) for name in expected), kind
        assert getattr(again, kind).units["relu2_1"] == 50.0


def test_each_round_is_written_down(trainer, tmp_path):
    trainer("notes").run()
    lines = [json.loads(line) for line in (tmp_path / "notes" / FIGURES).read_text().splitlines()]
    assert [line["round"] for line in lines] == [1, 2, 3]
    assert "gradient" not in lines[0]
    assert 0 < lines[1]["gradient"] < 3
    assert lines[-1]["held_out"]["f relu1_1"] > 0


def test_learning_brings_the_student_nearer(trainer, teacher, corpus):
    plan = Plan(**{**vars(PLAN), "rounds": 12, "gradients_from": 99, "lessons": 4, "averaging": 0.5})
    learner = trainer("long", plan)
    before = learner.held_out.figures(learner.student, torch.float32)
    learner.run()
    after = learner.held_out.figures(learner.average, torch.float32)
    for tap in ("relu1_1", "relu3_1", "relu5_1"):
        assert after[f"f {tap}"] < 0.8 * before[f"f {tap}"], tap


def test_pictures_under_optimization_come_nearer_to_their_goal(teacher, corpus):
    from training.goals import distance, own_metric, targets
    from training.student import TAPS

    canvas = canvases.new_canvas(corpus, 2, 32, Generator().manual_seed(0))
    wanted = targets(teacher, own_metric, canvas.goal)

    def loss(pictures: torch.Tensor) -> float:
        return float(distance(teacher(pictures.clamp(0, 1), TAPS), own_metric, wanted, canvas.goal))

    later = canvases.advanced(canvas, teacher, own_metric, 8)
    assert loss(later.pictures) < 0.8 * loss(canvas.pictures)
