from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from impasto.features import Extractor
from impasto.networks import COMPACT, Network
from training.lessons import ordinary_lessons
from training.pictures import Corpus
from training.student import TAPS, Student, network_of_shape
from training.study import _ResidualStudent, examined, taught
from training.train import Plan


def test_a_shape_gives_the_channels_of_each_convolution() -> None:
    assert network_of_shape("16x2/48x2/72x4/144x4/256").blocks == COMPACT.blocks
    assert network_of_shape("16,24/32").blocks == ((16, 24), (32,))
    with pytest.raises(ValueError, match="invalid literal"):
        network_of_shape("16x2/wide")


@pytest.mark.parametrize("kind", [Student, _ResidualStudent])
def test_teaching_helps(kind: type[Student], small: Network, teacher: Extractor, corpus: Corpus) -> None:
    generator = Generator().manual_seed(0)
    lessons = list(ordinary_lessons(teacher, corpus, 2, generator))
    plain = Student.random(small, generator)
    student = kind(**vars(plain)).to("cpu")
    assert isinstance(student, kind)
    before = sum(examined(student, lessons, torch.float32)["features"].values())
    assert taught(student, lessons, replace(Plan(), learning_rate=1e-2), 12, torch.float32) > 0
    after = examined(student, lessons, torch.float32)
    assert sum(after["features"].values()) < 0.9 * before
    assert set(after["moments"]) == set(TAPS)


def test_a_residual_block_adds_what_it_was_given(small: Network) -> None:
    plain = Student.random(small, Generator().manual_seed(0))
    residual = _ResidualStudent(**vars(plain))
    image = torch.rand(1, 3, 32, 32, generator=Generator().manual_seed(1))
    layers = ("relu3_1", "relu3_2", "relu3_3")
    seen, before = residual.extractor(torch.float32)(image, layers), plain.extractor(torch.float32)(image, layers)
    torch.testing.assert_close(seen["relu3_2"], before["relu3_2"])

    def convolved(signal: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(signal, (1, 1, 1, 1), mode="reflect")
        return torch.nn.functional.conv2d(padded, plain.weights()["conv3_3.weight"], plain.biases["conv3_3"])

    torch.testing.assert_close(seen["relu3_3"], torch.relu(convolved(seen["relu3_2"]) + seen["relu3_1"]))
