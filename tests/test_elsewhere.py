"""Where tensors are on an accelerator, without one: PyTorch's fake tensors know their device, and hold no numbers.

To mix devices is an error there, and so is to ask for a number, for which a real device would have to be waited for. An
evaluation asks for none, and a step of a solver once.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys, warnings
from itertools import product

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from impasto.features import Extractor
from impasto.grid import Tiling
from impasto.networks import get_network
from impasto.objective import bounded
from impasto.solvers import LBFGS, Adam
from impasto.spec import StyleSpec
from impasto.targets import style_transfer_objective

class Answering(TorchDispatchMode):
    # Answers by 1 what numbers are asked for, and counts for what a device would be waited for.

    def __init__(self):
        super().__init__()
        self.waits = 0

    def __torch_dispatch__(self, function, types, words=(), options=None):
        options = options or {}
        of_gpu = words and isinstance(words[0], torch.Tensor) and words[0].device.type == "gpu"
        if function is torch.ops.aten._local_scalar_dense.default:
            self.waits += of_gpu
            return 1.0
        if function is torch.ops.aten._to_copy.default and str(options.get("device")) == "cpu":
            self.waits += of_gpu
        return function(*words, **options)


def check(extractor, home, tiling, has_alpha):
    picture = torch.rand(1, 3, 320, 384, device=home)
    alpha = torch.rand(1, 1, 320, 384, device=home) if has_alpha else None
    with Answering():  # while the targets are made, and what is looked up once
        objective = style_transfer_objective(
            extractor, picture, picture.flip(-1), StyleSpec(), tiling=tiling, content_alpha=alpha
        )
        bounded(objective)(picture)
    assert (len(objective.octaves[0].tiles) > 1) == (tiling is not None)
    tiles = sum(len(octave.tiles) for octave in objective.octaves)
    with Answering() as evaluating:
        evaluation = bounded(objective)(picture)
    # What is in main memory is waited for: the gradient of each tile.
    assert evaluating.waits == (0 if home == "gpu:0" else tiles)
    assert evaluation.loss.device == torch.device("gpu:0")
    assert evaluation.gradient.device == picture.device
    for solver in (LBFGS(history=3), LBFGS(history=3, memory_dtype=torch.bfloat16), Adam()):
        with Answering():
            point = solver.step(picture, evaluation.loss, evaluation.gradient)
        for _ in range(5):
            with Answering() as stepping:
                point = solver.step(point, evaluation.loss, evaluation.gradient)
            assert stepping.waits == 1
        assert point.device == picture.device


warnings.simplefilter("ignore")
_setup_privateuseone_for_python_backend("gpu")
network = get_network(sys.argv[1])
with FakeTensorMode(allow_non_fake_inputs=True):
    weights = {
        name: torch.empty(shape, device="cpu" if name.endswith(".map") else "gpu:0")
        for name, shape in network.tensor_shapes.items()
    }
    with Answering():
        extractor = Extractor(network, weights, device="gpu:0", dtype=torch.bfloat16)
    tilings = [None, Tiling(128, 64), Tiling(128, 16, unit=128, apart=True)]
    for home, tiling, has_alpha in product(["gpu:0", "cpu"], tilings, [False, True]):
        check(extractor, home, tiling, has_alpha)
print("checked")
"""


@pytest.mark.parametrize("network", ["vgg19", "compact"])
def test_devices_are_not_mixed_and_hardly_waited_for(network: str) -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT, network], capture_output=True, text=True, check=False)
    assert run.stdout == "checked\n", run.stderr[-3000:]
