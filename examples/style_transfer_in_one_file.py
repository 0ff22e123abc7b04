"""Style transfer in one file, without the library.

    python style_transfer_in_one_file.py photo.jpg painting.jpg vgg19.h5 -o styled.png

Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016: the equation
numbers below are that paper's. The terms are scaled and weighted as in neural-style-pt. vgg19.h5 is the
original VGG-19 as Keras distributes it, vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5. `pixels` are
always what that was trained on: a 1 x 3 x H x W float32 tensor of blue, green and red, 0 to 255, minus MEANS.
"""

import argparse
import itertools
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

MEANS = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
CONVOLUTIONS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 1}  # in each block of VGG-19, as far as relu5_1
CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_WEIGHT, STYLE_WEIGHT, VARIATION_WEIGHT = 5.0, 100.0, 1e-3

Network = dict[str, tuple[Tensor, Tensor]]


def read_network(path: Path) -> Network:
    """Read {"conv1_1": (kernel, bias)}, kernels out x in x 3 x 3; the file decides how many channels."""
    network = {}
    with h5py.File(path, "r") as file:
        for block, count in CONVOLUTIONS.items():
            for i in range(1, count + 1):
                group = file[f"block{block}_conv{i}"]
                # Writers of such files name the datasets differently; this attribute lists them in order.
                kernel, bias = (torch.from_numpy(group[name][()]) for name in group.attrs["weight_names"])
                # Keras keeps height x width x in x out.
                network[f"conv{block}_{i}"] = kernel.permute(3, 2, 0, 1).contiguous(), bias
    return network


def read_pixels(path: Path, size: int) -> Tensor:
    """Read a picture, turned upright and resampled to `size` pixels on its long side."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("RGB")
    # relu5_1 lies behind four halvings, which leave nothing of a side below 16.
    width, height = (max(16, round(side * size / max(image.size))) for side in image.size)
    # The same filter for photo and painting: a blurrier one would change the style.
    rgb = np.array(image.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32)
    return torch.from_numpy(rgb).permute(2, 0, 1).flip(0)[None] - MEANS


def write_pixels(pixels: Tensor, path: Path) -> None:
    """Write an 8-bit PNG, cutting off what the optimizer left outside 0 to 255."""
    rgb = (pixels + MEANS)[0].flip(0).permute(1, 2, 0).clamp(0, 255).round()
    Image.fromarray(rgb.byte().numpy()).save(path, format="PNG")


def features(pixels: Tensor, network: Network) -> dict[str, Tensor]:
    """Look at a picture: {"relu1_1": F of section 2, 1 x N x h x w} and so on, M = h w positions."""
    seen, x = {}, pixels
    for block, count in CONVOLUTIONS.items():
        if block > 1:
            # The paper averages here; the maximum is what the network was trained with.
            x = F.max_pool2d(x, 2)
        for i in range(1, count + 1):
            x = seen[f"relu{block}_{i}"] = F.relu(F.conv2d(x, *network[f"conv{block}_{i}"], padding=1))
    return seen


def gram(layer: Tensor) -> Tensor:
    """Correlate channels over all positions: G_ij = sum_k F_ik F_jk (Eq. 3), divided by N M."""
    flat = layer[0].flatten(1)
    # Divided here and not in Eq. 4, because M differs between a photo and a painting of different shape.
    return flat @ flat.T / flat.numel()


def content_loss(layer: Tensor, target: Tensor) -> Tensor:
    """Compare what is where: mean (F_ij - P_ij)^2, Eq. 1 times 2 / (N M)."""
    return F.mse_loss(layer, target)


def style_loss(seen: dict[str, Tensor], grams: dict[str, Tensor]) -> Tensor:
    """Compare what occurs together: sum over layers (Eq. 5) of mean (G_ij - A_ij)^2, Eq. 4 times 4 / N^2."""
    return torch.stack([F.mse_loss(gram(seen[name]), target) for name, target in grams.items()]).sum()


def total_variation(pixels: Tensor) -> Tensor:
    """Add up the differences of neighbors, sum |x_i - x_j|: not in the paper, it holds down the noise."""
    return pixels.diff(dim=2).abs().sum() + pixels.diff(dim=3).abs().sum()


def total_loss(pixels: Tensor, content: Tensor, grams: dict[str, Tensor], network: Network) -> Tensor:
    """Weigh one against the other: alpha L_content + beta L_style (Eq. 7), and the total variation."""
    seen = features(pixels, network)
    loss = CONTENT_WEIGHT * content_loss(seen[CONTENT_LAYER], content)
    loss = loss + STYLE_WEIGHT * style_loss(seen, grams)
    return loss + VARIATION_WEIGHT * total_variation(pixels)


def targets(photo: Tensor, painting: Tensor, network: Network) -> tuple[Tensor, dict[str, Tensor]]:
    """Look once at each picture: the photo gives P of Eq. 1, the painting A of Eq. 4, by layer."""
    with torch.no_grad():
        content, style = features(photo, network), features(painting, network)
        return content[CONTENT_LAYER], {name: gram(style[name]) for name in STYLE_LAYERS}


def stylize(photo: Tensor, painting: Tensor, network: Network, iterations: int) -> Tensor:
    """Follow the gradient of Eq. 7 from the photo's pixels, by L-BFGS as in section 2.3."""
    content, grams = targets(photo, painting, network)
    # The paper starts from noise; from the photo it takes fewer iterations and always gives the same picture.
    pixels = photo.clone().requires_grad_()
    # PyTorch's own tolerances may stop it while the picture is still changing.
    optimizer: torch.optim.Optimizer = torch.optim.LBFGS(
        [pixels], max_iter=iterations, history_size=100, tolerance_grad=-1, tolerance_change=-1
    )
    evaluations = itertools.count()

    def evaluate() -> float:
        loss = total_loss(pixels, content, grams, network)
        (pixels.grad,) = torch.autograd.grad(loss, pixels)
        if (evaluation := next(evaluations)) % 10 == 0:
            print(f"evaluation {evaluation:4d}: loss {loss.item():.6g}", flush=True)
        return loss.item()

    optimizer.step(evaluate)
    return pixels.detach()


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; what would fail at the end fails here."""
    parser = argparse.ArgumentParser(description="Paint a photo in the style of a painting.")
    parser.add_argument("content", type=Path, help="the photo")
    parser.add_argument("style", type=Path, help="the painting")
    parser.add_argument("weights", type=Path, help="VGG-19 in Keras' HDF5 layout")
    parser.add_argument("-o", "--output", type=Path, default=Path("styled.png"), help="default: styled.png")
    parser.add_argument("--size", type=int, default=512, help="long side in pixels, default: 512")
    parser.add_argument("--iterations", type=int, default=200, help="default: 200")
    args = parser.parse_args(argv)
    for path in (args.content, args.style, args.weights):
        if not path.is_file():
            raise SystemExit(f"There is no file {path}.")
    if args.output.suffix.lower() != ".png" or not args.output.parent.is_dir():
        raise SystemExit(f"The output must be a .png file in a folder that exists, not {args.output}.")
    return args


def main(argv: list[str] | None = None) -> None:
    """Read a photo, a painting and a network, and write the photo in the style of the painting."""
    args = parse(argv)
    try:
        photo, painting = read_pixels(args.content, args.size), read_pixels(args.style, args.size)
        network = read_network(args.weights)
    except (OSError, KeyError, ValueError) as error:
        raise SystemExit(f"A picture or the network could not be read: {error}.") from None
    write_pixels(stylize(photo, painting, network, args.iterations), args.output)


if __name__ == "__main__":
    main()
