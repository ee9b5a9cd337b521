"""The networks: sizes, shapes, and agreement with an independent implementation of Real-ESRGAN."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from spandrel import ModelLoader
from torch import nn

import leukosr
from leukosr.errors import LeukoError
from leukosr.superres import DISCRIMINATORS, GENERATORS
from leukosr.superres.edge import input_of, output_of
from leukosr.superres.networks import Generator, GeneratorNetwork, Network
from leukosr.superres.networks.compact import Compact
from leukosr.superres.networks.real_esrgan import (
    ResidualDenseBlock,
    RRDBNet,
    UNetDiscriminatorSN,
    enlarged_by_products,
)
from leukosr.superres.networks.srgan import SRGANDiscriminator, SRGANGenerator


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def randomise(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.05, generator=generator)


@pytest.mark.parametrize(
    "network", [*GENERATORS.values(), *DISCRIMINATORS.values()], ids=[*GENERATORS, *(f"D {d}" for d in DISCRIMINATORS)]
)
def test_default_network_has_the_published_number_of_parameters(network: Network | GeneratorNetwork) -> None:
    with torch.device("meta"):
        assert parameters(network()) == network.parameters
        assert parameters(network(**network.tiny)) < network.parameters / 50


def test_published_numbers_of_parameters() -> None:
    assert {name: network.parameters for name, network in GENERATORS.items()}.items() >= {
        "srgan": 734_219, "real_esrgan": 16_697_987, "compact": 621_424, "srcnn": 57_281, "vdsr": 664_704,
        "srresnet": 1_528_724, "sftgan": 1_833_763, "none_prior": 517_633, "oracle_prior": 777_857,
        "geometry_prior": 777_857 + 7_759_587,
    }.items()  # fmt: skip
    assert {name: network.parameters for name, network in DISCRIMINATORS.items()}.items() >= {
        "srgan": 5_215_425, "real_esrgan": 4_376_897,
    }.items()  # fmt: skip


CLAIMED = [(name, scale) for name, network in GENERATORS.items() for scale in network.contract.scales]


def lr_images(network: GeneratorNetwork, count: int = 2) -> torch.Tensor:
    """LR images of a size that the network takes, odd where it may be."""
    size = network.contract.size or (7 * network.contract.multiple_of, 10 * network.contract.multiple_of)
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1))


def seen(model: Generator, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What the network sees of the images, with random maps if it takes any."""
    size = [model.scale * side for side in images.shape[-2:]]
    maps = torch.rand(len(images), model.contract.masks, *size, generator=torch.Generator().manual_seed(2))
    return input_of(model, images, maps)


@pytest.mark.parametrize(("name", "scale"), CLAIMED)
def test_generator_enlarges_by_every_scale_that_it_claims(name: str, scale: int) -> None:
    network = GENERATORS[name]
    model, images = network(scale=scale, **network.tiny).eval(), lr_images(network)
    assert model.scale == scale
    assert replace(model.contract, grid=network.contract.grid) == network.contract  # the grid goes by the scale
    with torch.no_grad():
        enlarged = output_of(model, model(*seen(model, images)), images)
    assert enlarged.shape == (2, 3, images.shape[2] * scale, images.shape[3] * scale)
    assert enlarged.isfinite().all()


@pytest.mark.parametrize(("name", "scale"), CLAIMED)
def test_generator_is_recognised_by_its_own_state_dict_and_no_other(name: str, scale: int) -> None:
    with torch.device("meta"):
        state = GENERATORS[name](scale=scale, **GENERATORS[name].tiny).state_dict()
    found = {other: network.arguments_from(state) for other, network in GENERATORS.items()}
    assert found.pop(name) in ({"scale": scale, **GENERATORS[name].tiny}, None)
    assert set(found.values()) <= {None}


@pytest.mark.parametrize(
    ("name", "scale"), [(n, s) for n in GENERATORS for s in (-4, 0, 1, 2, 3, 4, 6, 8, 16) if (n, s) not in CLAIMED]
)
def test_generator_refuses_a_scale_that_it_does_not_claim(name: str, scale: int) -> None:
    allowed = ", ".join(map(str, GENERATORS[name].contract.scales))
    with pytest.raises(LeukoError, match=f"scale {scale} .*one of {allowed}$"):
        GENERATORS[name](scale=scale)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_parameter_receives_a_gradient(name: str) -> None:
    network = GENERATORS[name]
    model = network(**network.tiny).eval()  # batch norm in training hides biases
    randomise(model, seed=0)
    model(*seen(model, lr_images(network))).square().mean().backward()
    with torch.no_grad():  # again where no ReLU is dead
        for parameter in model.parameters():
            parameter.abs_()
    model(*seen(model, lr_images(network))).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


CHANNELS = {"srresnet": 1, "sftgan": 1, "sftgan_prior": 1}  # of discriminators that judge luminance


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_parameter_receives_a_gradient(name: str) -> None:
    network = DISCRIMINATORS[name]
    model = network(**network.tiny).eval()
    randomise(model, seed=0)
    model(
        torch.rand(2, CHANNELS.get(name, 3), 32, 32, generator=torch.Generator().manual_seed(0))
    ).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_srgan_output_stays_in_the_unit_interval_whatever_the_weights() -> None:
    model = SRGANGenerator(scale=2, features=4, blocks=1)
    with torch.no_grad():
        model.tail.weight.mul_(1000)
        enlarged = model(torch.rand(1, 3, 8, 8))
    assert enlarged.min() >= 0
    assert enlarged.max() <= 1
    assert enlarged.max() - enlarged.min() > 0.9  # the weights do drive it to both ends


def test_srgan_skips_around_its_blocks_and_around_its_whole_body() -> None:
    model = SRGANGenerator(scale=2, features=4, blocks=2).eval()
    randomise(model, seed=0)
    images = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shallow = model.head(images)
        without_body = (torch.tanh(model.tail(model.upsampling(shallow))) + 1) / 2
        assert not torch.allclose(model(images), without_body)
        for norm in (model.body[0].bn2, model.body[1].bn2, model.body_end[1]):
            for tensor in norm.parameters():
                nn.init.zeros_(tensor)  # silences the branch that the skip goes round
        assert torch.equal(model.body(shallow), shallow)
        torch.testing.assert_close(model(images), without_body)


@pytest.mark.parametrize("size", [(16, 16), (96, 96), (33, 50)])
def test_srgan_discriminator_gives_one_probability_an_image_of_any_size(size: tuple[int, int]) -> None:
    model = SRGANDiscriminator(features=4)
    images = torch.rand(3, 3, *size)
    probabilities = model(images)
    assert probabilities.shape == (3, 1)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    model.logits = True
    torch.testing.assert_close(torch.sigmoid(model(images)), probabilities)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (21, 34)])
def test_unet_discriminator_gives_one_logit_a_pixel_of_any_size(size: tuple[int, int]) -> None:
    model = UNetDiscriminatorSN(features=4)
    assert model(torch.rand(2, 3, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize(("silenced", "skip", "factor"), [("conv4", 2, 2), ("conv5", 1, 2), ("conv6", 0, 1)])
def test_unet_discriminator_adds_the_map_of_the_same_size_on_the_way_up(silenced: str, skip: int, factor: int) -> None:
    model = UNetDiscriminatorSN(features=4).eval()
    maps = {}
    for name, module in model.named_children():
        module.register_forward_hook(lambda _, inputs, output, name=name: maps.update({name: (inputs[0], output)}))
    getattr(model, silenced).register_forward_hook(lambda _, inputs, output: torch.zeros_like(output))
    with torch.no_grad():
        model(torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0)))
    on_the_way_down = F.leaky_relu(maps[f"conv{skip}"][1], 0.2)
    if factor > 1:
        on_the_way_down = F.interpolate(on_the_way_down, scale_factor=factor, mode="bilinear")
    following = f"conv{int(silenced[-1]) + 1}"
    torch.testing.assert_close(maps[following][0], on_the_way_down)


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("before", [(1, 1), (2, 3), (8, 8), (21, 34)])
@pytest.mark.parametrize("factors", [(1, 1), (2, 2), (1.5, 3)])
def test_matrix_products_enlarge_as_pytorch_does(
    before: tuple[int, int], factors: tuple[float, float], device: str
) -> None:
    x = torch.rand(2, 3, *before, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    height, width = round(before[0] * factors[0]), round(before[1] * factors[1])
    expected = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)
    found = enlarged_by_products(x, height, width)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    weights = torch.rand_like(expected)
    slopes = (torch.autograd.grad((weights * each).sum(), x)[0] for each in (found, expected))
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-5)


def test_unet_discriminator_layers_have_unit_spectral_norm_after_some_passes() -> None:
    torch.manual_seed(0)
    model = UNetDiscriminatorSN(features=4)
    for _ in range(60):
        model(torch.rand(1, 3, 8, 8))
    for layer in (model.conv1, model.conv4, model.conv8):
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.02)


def test_unet_discriminator_has_the_names_of_the_published_weights() -> None:
    with torch.device("meta"):
        names = set(UNetDiscriminatorSN().state_dict())
    plain = {f"conv{i}.{part}" for i in (0, 9) for part in ("weight", "bias")}
    normed = {f"conv{i}.weight_{part}" for i in range(1, 9) for part in ("orig", "u", "v")}
    assert names == plain | normed


def test_dense_blocks_start_ten_times_below_he_initialisation_with_zero_biases() -> None:
    torch.manual_seed(0)
    block = ResidualDenseBlock(features=64, growth=32)
    for conv in (block.conv1, block.conv5):
        he = (2 / (conv.in_channels * 9)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(0.1 * he, rel=0.03)
        assert not conv.bias.any()


def test_rrdbnet_has_exactly_the_tensors_of_the_published_x4_weights() -> None:
    expected: dict[str, tuple[int, ...]] = {}

    def conv(name: str, inputs: int, outputs: int) -> None:
        expected[f"{name}.weight"] = (outputs, inputs, 3, 3)
        expected[f"{name}.bias"] = (outputs,)

    conv("conv_first", 3, 64)
    for block in range(23):
        for dense in (1, 2, 3):
            for i in range(1, 6):
                conv(f"body.{block}.rdb{dense}.conv{i}", 64 + 32 * (i - 1), 64 if i == 5 else 32)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        conv(name, 64, 64)
    conv("conv_last", 64, 3)
    with torch.device("meta"):
        state = GENERATORS["real_esrgan"](scale=4).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected


@pytest.mark.parametrize("key", ["params_ema", "params", None])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_rrdbnet_agrees_with_spandrels_real_esrgan_on_the_same_weights(
    tmp_path: Path, scale: int, key: str | None
) -> None:
    model = RRDBNet(scale=scale, features=8, blocks=2, growth=32).eval()
    randomise(model, seed=scale)
    state = model.state_dict()
    torch.save(state if key is None else {key: state}, tmp_path / "net.pth")
    independent = ModelLoader().load_from_file(tmp_path / "net.pth")
    assert independent.scale == scale
    images = torch.rand(1, 3, 12, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = model(images), independent.model.eval()(images)
    assert ours.std() > 1e-3  # not two constant images
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("scale", "convolutions"), [(2, 3), (4, 16), (8, 1)])
def test_compact_agrees_with_spandrels_on_the_same_weights(scale: int, convolutions: int) -> None:
    model = Compact(scale=scale, features=24, convolutions=convolutions).eval()
    randomise(model, seed=scale)
    independent = ModelLoader().load_from_state_dict(dict(model.state_dict()))
    assert (independent.architecture.id, independent.scale) == ("Compact", scale)
    images = torch.rand(1, 3, 12, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = model(images), independent.model.eval()(images)
    assert ours.std() > 1e-3  # not two constant images
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_full_width_rrdbnet_is_read_by_spandrel_as_real_esrgan_x4() -> None:
    model = RRDBNet()
    described = ModelLoader().load_from_state_dict(dict(model.state_dict()))
    assert described.architecture.id == "ESRGAN"
    assert described.scale == 4
    assert set(described.tags) == {"64nf", "23nb"}
    assert parameters(described.model) == parameters(model)


def test_importing_the_registries_does_not_import_torchvision() -> None:
    code = "import sys, leukosr.superres, leukosr.superres.losses; sys.exit('torchvision' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(leukosr.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_what_goes_into_a_new_compact_network_comes_out_again_and_its_first_layer_learns() -> None:
    """With torch's own start two images differ by 1e-7 after 17 layers, and 2,000 iterations teach it nothing."""
    torch.manual_seed(0)
    model, images = Compact(), torch.rand(2, 3, 16, 16)
    added = model(images) - nn.functional.interpolate(images, scale_factor=4, mode="nearest")
    assert 1e-3 < float((added[0] - added[1]).detach().std()) < 0.3
    added.square().mean().backward()
    gradients = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    assert float(gradients[0]) > 0.01 * float(max(gradients))
