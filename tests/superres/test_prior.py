"""The geometry prior and its rivals: public key formats, what the paper leaves open, and maps from masks to images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from leukosr.config import Precision, TrainSR
from leukosr.engine.resume import Resume
from leukosr.errors import LeukoError
from leukosr.images.masks import CYTOPLASM, NUCLEUS, REST
from leukosr.superres import GENERATORS
from leukosr.superres.maps import maps_of, masks_of
from leukosr.superres.methods.method import TrainStage
from leukosr.superres.networks import Generator
from leukosr.superres.trainer import SRTraining
from leukosr.superres.upscaler import upscale_batch, upscale_images
from leukosr.superres.weights import load_generator

from .tiny import changed, smooth_pairs, tiny, weights_of

CPU = torch.device("cpu")
IMAGES = torch.rand(2, 1, 16, 24, generator=torch.Generator().manual_seed(0))


class How:
    precision: Precision = "fp32"
    channels_last = False


def network(name: str, seed: int = 0, **arguments: int) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GENERATORS[name](**{**GENERATORS[name].tiny, **arguments}).eval()


def srcnn(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """As in `yjn870/SRCNN-pytorch`."""
    x = F.relu(F.conv2d(x, weights["conv1.weight"], weights["conv1.bias"], padding=4))
    x = F.relu(F.conv2d(x, weights["conv2.weight"], weights["conv2.bias"], padding=2))
    return F.conv2d(x, weights["conv3.weight"], weights["conv3.bias"], padding=2)


def vdsr(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """As in `twtygqyy/pytorch-vdsr`."""
    out = F.relu(F.conv2d(x, weights["input.weight"], padding=1))
    for layer in range(18):
        out = F.relu(F.conv2d(out, weights[f"residual_layer.{layer}.conv.weight"], padding=1))
    return F.conv2d(out, weights["output.weight"], padding=1) + x


def sftgan(weights: dict[str, Tensor], x: Tensor, maps: Tensor) -> Tensor:
    """As in `xinntao/SFTGAN`, with its names of 2 of the 16 blocks."""

    def conv(name: str, x: Tensor, **how: int) -> Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **how)

    def transform(name: str, x: Tensor) -> Tensor:
        scale = conv(f"{name}.SFT_scale_conv1", F.leaky_relu(conv(f"{name}.SFT_scale_conv0", condition), 0.1))
        shift = conv(f"{name}.SFT_shift_conv1", F.leaky_relu(conv(f"{name}.SFT_shift_conv0", condition), 0.1))
        return x * (scale + 1) + shift

    condition = conv("CondNet.0", maps, stride=4)
    for layer in (2, 4, 6, 8):
        condition = conv(f"CondNet.{layer}", F.leaky_relu(condition, 0.1))
    first = out = conv("conv0", x, padding=1)
    for block in ("sft_branch.0", "sft_branch.1"):
        inner = F.relu(conv(f"{block}.conv0", transform(f"{block}.sft0", out), padding=1))
        out = out + conv(f"{block}.conv1", transform(f"{block}.sft1", inner), padding=1)
    out = first + conv("sft_branch.3", transform("sft_branch.2", out), padding=1)
    for layer in (0, 3):
        out = F.relu(F.pixel_shuffle(conv(f"HR_branch.{layer}", out, padding=1), 2))
    return conv("HR_branch.8", F.relu(conv("HR_branch.6", out, padding=1)), padding=1)


@pytest.mark.parametrize(
    ("name", "public", "inputs", "arguments"),
    [
        ("srcnn", srcnn, (IMAGES,), {"features": 64}),
        ("vdsr", vdsr, (IMAGES,), {"features": 64, "convolutions": 18}),
        ("sftgan", sftgan, (torch.rand(1, 3, 5, 7), torch.rand(1, 8, 20, 28)), {"features": 64, "blocks": 2}),
    ],
)
def test_a_state_dict_of_the_public_code_gives_what_it_gives_there(
    name: str, public: Callable[..., Tensor], inputs: tuple[Tensor, ...], arguments: dict[str, int]
) -> None:
    model = network(name, **arguments)
    with torch.no_grad():
        found = model(*inputs)
        assert found.std() > 1e-3  # not a constant image
        torch.testing.assert_close(found, public(model.state_dict(), *inputs), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        ("srresnet", {"scale": 8}, 1_676_437),
        ("srresnet", {"channels": 3}, 1_549_462),
        ("sftgan", {"conditions": 3}, 1_823_523),
        ("sftgan", {"conditions": 3, "channels": 1}, 1_821_217),
        ("sftgan_prior", {}, 1_821_217 + 7_759_587),
    ],
)
def test_variants_have_the_parameters_of_their_papers(name: str, arguments: dict[str, int], parameters: int) -> None:
    with torch.device("meta"):
        model = GENERATORS[name](**arguments)
    assert sum(each.numel() for each in model.parameters()) == parameters
    if "channels" in arguments:
        assert model.contract.channels == ("luminance" if arguments["channels"] == 1 else "rgb")
    assert model.contract.masks == arguments.get("conditions", 0)


def test_what_the_paper_leaves_open_is_read_as_the_docstring_says() -> None:
    """Fused by conv3 and LeakyReLU to the width of the blocks; both LeakyReLUs before the skip; nothing added."""
    model, maps = network("oracle_prior"), torch.rand(2, 3, 16, 24)
    weights, slope = model.state_dict(), 0.2

    def conv(name: str, x: Tensor) -> Tensor:
        return F.leaky_relu(F.conv2d(x, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"], padding=1), slope)

    def block(name: str, x: Tensor) -> Tensor:
        return x + conv(f"{name}.layers.1", conv(f"{name}.layers.0", x))

    shallow = conv("shallow", IMAGES)
    seen = [shallow, block("deep.0", shallow), block("map_encoder.1", conv("map_encoder.0", maps))]
    fused = conv("fuse", torch.cat(seen, dim=1))
    assert fused.shape[1] == shallow.shape[1]
    expected = F.conv2d(block("decoder.0", fused), weights["decoder.1.weight"], weights["decoder.1.bias"])
    with torch.no_grad():
        torch.testing.assert_close(model(IMAGES, maps), expected)
        added = network("oracle_prior", residual=1)(IMAGES, maps)
    torch.testing.assert_close(added, expected + IMAGES)


def test_the_geometry_prior_is_the_sr_part_guided_by_the_map_that_its_u_net_predicts() -> None:
    model = network("geometry_prior")
    with torch.no_grad():
        maps = model.predicted_maps(IMAGES)  # type: ignore[operator]
        assert maps.shape == (2, 3, 16, 24)
        assert 0 < maps.min() < maps.max() < 1
        assert not torch.allclose(maps.sum(dim=1), torch.ones(()))  # each channel is a probability of its own
        torch.testing.assert_close(model(IMAGES), model.sr(IMAGES, maps))
        both = model.train()(IMAGES)
    torch.testing.assert_close(both[:, :1], model.sr(IMAGES, maps))
    torch.testing.assert_close(both[:, 1:].sigmoid(), maps)


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (5, 3)])
def test_the_u_net_keeps_any_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert network("geometry_prior").prior(torch.rand(1, 1, *size)).shape == (1, 3, *size)


def test_maps_and_masks_are_each_others_inverse() -> None:
    mask = np.array([[[NUCLEUS, CYTOPLASM, REST]]], np.uint8)
    maps = maps_of(torch.from_numpy(mask)[:, None] / 255)
    assert maps[0, :, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert np.array_equal(masks_of(maps), mask)


@pytest.fixture(scope="module")
def trained(published: Callable[[str], TrainSR], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SRTraining]:
    def train(method: str, iterations: int = 3, **changes: Any) -> SRTraining:
        settings = changed(tiny(published(method), iterations=iterations), **changes)
        training = SRTraining(
            "one", settings, smooth_pairs(3), smooth_pairs(1, seed=9), ssim_window=3, channels="luminance", seed=0,
            device=CPU,
        )  # fmt: skip
        training.run(Resume("work", 1e9, tmp_path_factory.mktemp("work")), lambda iteration, row: None)
        return training

    return train


def test_the_loss_of_the_map_teaches_the_map_and_without_it_the_same_network_learns_the_image_alone(
    trained: Callable[..., SRTraining],
) -> None:
    on, off = trained("geometry_prior", 30), trained("geometry_prior", 30, map_loss=0.0)
    first, *_, last = on.progress.history
    assert last["loss_map"] < first["loss_map"]
    assert last["loss_image"] < first["loss_image"]
    assert "loss_map" not in off.progress.history[0]
    counts = [sum(each.numel() for each in training.generator.parameters()) for training in (on, off)]
    assert counts[0] == counts[1]
    before = network("geometry_prior").prior.state_dict()
    assert all(not torch.equal(tensor, before[name]) for name, tensor in off.generator.prior.state_dict().items())


def test_a_given_map_is_what_guides_the_image(trained: Callable[..., SRTraining]) -> None:
    result = trained("oracle_prior", 30)
    (lr,), own = [result.val.lr[0]], result.val.masks[0]  # type: ignore[index]
    made, other = (upscale_batch(result.result, [lr], How(), CPU, [mask])[0] for mask in (own, 255 - own // 255 * 255))
    assert not np.array_equal(made, other)
    with pytest.raises(LeukoError, match="needs a mask for each image, and none is given"):
        upscale_batch(result.result, [lr], How(), CPU)
    with pytest.raises(LeukoError, match=r"takes maps of the size of its output, \[48, 64\], not of \[12, 16\]"):
        upscale_batch(result.result, [lr], How(), CPU, [own[::4, ::4]])


def test_batches_and_tiles_get_their_own_part_of_the_masks() -> None:
    model = network("oracle_prior", seed=1)
    pairs = smooth_pairs(3)
    images, masks = ([store[i] for i in range(3)] for store in (pairs.lr, pairs.masks))  # type: ignore[index]
    alone = [upscale_batch(model, [image], How(), CPU, [mask])[0] for image, mask in zip(images, masks, strict=True)]
    for tile in (0, 12):  # of 12 x 16 pixels; 4 on each side cover what the network sees
        made = list(upscale_images(model, images, 4, How(), CPU, batch=2, tile=tile, overlap=8, masks=masks))
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(made, alone, strict=True))


def test_masks_are_cut_and_turned_with_their_images(trained: Callable[..., SRTraining]) -> None:
    pairs = smooth_pairs(2)
    both = pairs.hr_with_masks()
    assert np.array_equal(both[1][..., :3], pairs.hr[1])
    assert np.array_equal(both[1][..., 3], pairs.masks[1])  # type: ignore[index]


def test_sftgan_keeps_the_trained_prior_as_it_is(trained: Callable[..., SRTraining]) -> None:
    result = trained("sftgan_prior", 4).result
    given = load_generator(weights_of("geometry_prior", 4)).model.prior.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(tensor, given[name]) for name, tensor in result.prior.state_dict().items())
    assert not any(each.requires_grad for each in result.prior.parameters())


def test_a_prior_of_another_network_scale_or_width_is_refused(published: Callable[[str], TrainSR]) -> None:
    settings = tiny(published("sftgan_prior"))
    for weights, said in (
        (weights_of("none_prior", 4), "holds none_prior x4, expected geometry_prior x4"),
        (weights_of("geometry_prior", 8), "holds geometry_prior x8, expected geometry_prior x4"),
    ):
        with pytest.raises(LeukoError, match=said):
            changed(settings, prior=weights, reads=weights).build_generator(4)
    wider = changed(settings, generator={**settings.generator.model_dump(), "prior_features": 3})
    with pytest.raises(LeukoError, match=r"prior of another width .*set generator\.prior_features to 2"):
        wider.build_generator(4)


def test_luminance_of_lr_drawn_afresh_ignores_the_masks_beside_the_originals(
    published: Callable[[str], TrainSR], tmp_path: Path
) -> None:
    fresh = replace(smooth_pairs(2), degrade=lambda hr, rng: hr[::4, ::4])
    settings = tiny(published("geometry_prior"), iterations=1)
    training = SRTraining("one", settings, fresh, smooth_pairs(1), ssim_window=3, seed=0, device=CPU)
    training.run(Resume("work", 1e9, tmp_path), lambda iteration, row: None)
    assert training.progress.iteration == 1


def test_a_stage_lowers_its_rate_again_and_again_and_clips_its_gradients(published: Callable[[str], TrainSR]) -> None:
    (stage,) = published("vdsr_original").stages
    assert (stage.optimizer, stage.clip, stage.rate_at(0)) == ("sgd", 0.4, 0.1)
    assert [stage.rate_at(each) for each in (49, 50, 100)] == pytest.approx([0.1, 0.01, 0.001])
    both = TrainStage.model_validate({**stage.model_dump(), "gamma": 0.5, "every": 10, "milestones": [15]})
    assert [both.rate_at(each) for each in (9, 10, 15, 20)] == pytest.approx([0.1, 0.05, 0.025, 0.0125])


def test_vdsrs_own_recipe_moves_its_weights_by_the_clipped_norm_at_most(trained: Callable[..., SRTraining]) -> None:
    training = trained("vdsr_original", 1, flips=False)
    before = SRTraining(
        "one", training.settings, smooth_pairs(3), smooth_pairs(1), ssim_window=3, seed=0, device=CPU
    ).generator.state_dict()  # fmt: skip
    moved = sum((tensor - before[name]).square().sum() for name, tensor in training.generator.state_dict().items())
    decay = 0.1 * 1e-4 * sum(tensor.square().sum() for tensor in before.values()) ** 0.5
    assert 0 < moved**0.5 <= 0.1 * 0.4 + decay + 1e-6
