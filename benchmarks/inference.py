"""Super-resolution of LR images: both networks at the published widths, and what bf16 does to the result."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.counting import count_work
from benchmarks.images import ROOT, SIZE, image_set, published_params, read_resized
from benchmarks.measure import Options, Row, compare, quartiles
from leukosr.config import Generated, Params
from leukosr.degradation import Capstone, CapstoneSettings, image_rng
from leukosr.engine.device import choose_device, place
from leukosr.evaluate.image_quality import compare_images
from leukosr.images.reading import read_rgb
from leukosr.superres.networks import Generator
from leukosr.superres.upscaler import upscale_images
from leukosr.superres.weights import load_generator

SCALE = 4
# method, LR size, how many times faster, images that the reference and ours take a round
CASES = (
    ("real_esrgan", (60, 80), 4.5, 4, 16),
    ("real_esrgan", (120, 160), 5.3, 2, 8),
    ("srgan", (60, 80), 4.0, 8, 32),
)
PSNR_GOAL = 0.1


def run(options: Options) -> list[Row]:
    """A row a network and size, and one a network of which trained weights are found."""
    params = published_params()
    with tempfile.TemporaryDirectory() as temporary:
        files = image_set(Path(temporary) / "set", 32)
        rows = [_speed(case, files, params, options) for case in CASES]
        for method in params.train_sr:
            found = sorted(ROOT.glob(f"outputs/*/sr/{method}/last.safetensors"), key=lambda file: file.stat().st_mtime)
            if found:
                rows.append(_psnr_change(method, found[-1], files, params, options))
            else:
                print(f"inference: no trained weights of {method} in outputs/, so its PSNR change is left out")
    return rows


@torch.no_grad()
def plain(model: nn.Module, images: Sequence[np.ndarray], device: torch.device) -> list[np.ndarray]:
    """One image after the other, fp32, contiguous."""
    made = []
    for image in images:
        tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous().float().div(255).unsqueeze(0).to(device)
        output = model(tensor).squeeze(0).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        made.append((output * 255).round().astype(np.uint8))
    return made


def ours(model: Generator, images: Sequence[np.ndarray], how: Generated, device: torch.device) -> list[np.ndarray]:
    """What the stage `upscale` does with its images; `model` is placed as it does."""
    upscaled = upscale_images(
        model, images, SCALE, how, device, batch=how.batch, tile=how.tile, overlap=how.overlap
    )  # fmt: skip
    return list(upscaled)


def settings_of(params: Params, method: str) -> Generated:
    """How the study computes the arm of a method."""
    how = params.upscale[method]
    assert isinstance(how, Generated)
    return how


def build_pair(model: Generator, how: Generated, device: torch.device) -> tuple[nn.Module, Generator]:
    """The network for the reference, and the same one placed for ours."""
    model = model.eval()
    return copy.deepcopy(model).to(device), place(model, device, how.channels_last)


def _speed(
    case: tuple[str, tuple[int, int], float, int, int], files: list[Path], params: Params, options: Options
) -> Row:
    method, size, goal, few, many = case
    device, how = choose_device("auto"), settings_of(params, method)
    torch.manual_seed(0)
    network = params.train_sr[method].build_generator(SCALE)
    reference, our_model = build_pair(network, how, device)
    images = read_resized(files[: options.pick(many, 2)], size)
    few = min(few, len(images))
    found = compare(
        lambda: plain(reference, images[:few], device),
        lambda: ours(our_model, images, how, device),
        options.rounds, reference_items=few, our_items=len(images),
    )  # fmt: skip
    work = count_work(lambda: ours(our_model, images, how, device), how.precision, len(images))
    name = f"{method} x4 inference at {size[0]}x{size[1]}"
    note = f"{how.precision}, batch {min(how.batch, len(images))}"
    return found.row("inference", name, "images/s", f"ratio >= {goal}", note=note, work=work)


def _psnr_change(method: str, weights: Path, files: list[Path], params: Params, options: Options) -> Row:
    """PSNR against the originals, by the reference in fp32 and by ours."""
    device, how = choose_device("auto"), settings_of(params, method)
    reference, our_model = build_pair(load_generator(weights).model, how, device)
    degrade = Capstone(CapstoneSettings(noise="gaussian"))
    originals = [read_rgb(file) for file in files[: options.pick(24, 2)]]
    images = [degrade(image, image_rng(0, str(i))) for i, image in enumerate(originals)]
    psnr = [
        [compare_images(made, truth, 3).psnr or 0.0 for made, truth in zip(side, originals, strict=True)]
        for side in (plain(reference, images, device), ours(our_model, images, how, device))
    ]
    differences = [our - plain for plain, our in zip(*psnr, strict=True)]
    low, high = quartiles(differences)
    name = f"PSNR of {method} x4, {how.precision} against fp32"
    note = (
        f"mean of {len(images)} images of {SIZE[0]}x{SIZE[1]}, weights {weights.relative_to(ROOT)}; ours - reference "
        f"for an image: quartiles {low:+.4f} and {high:+.4f} dB, largest {max(map(abs, differences)):.4f} dB"
    )
    means = [float(np.mean(side)) for side in psnr]
    return Row("inference", name, "dB", means[0], means[1], goal=f"change <= {PSNR_GOAL}", note=note)
