"""SRGAN of 001: the sizes that its paper prints, Keras' conventions, and the order of its updates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from leukosr.config import Params, TrainSR
from leukosr.engine.resume import Resume
from leukosr.errors import LeukoError
from leukosr.superres import DISCRIMINATORS, GENERATORS
from leukosr.superres.methods.srgan_keras import SRGANKeras
from leukosr.superres.networks.srgan_keras import SRGANKerasDiscriminator, SRGANKerasGenerator
from leukosr.superres.trainer import SRTraining
from leukosr.superres.vgg import VGGFeatures

from .tiny import changed, smooth_pairs, tiny


def parameters(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def running_statistics(model: nn.Module) -> int:
    return sum(each.numel() for name, each in model.named_buffers() if "running" in name)


def drawn(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def test_the_networks_have_the_printed_numbers_of_parameters() -> None:
    with torch.device("meta"):
        generator, discriminator = GENERATORS["srgan_keras"](scale=4), DISCRIMINATORS["srgan_keras"]()
    assert (parameters(generator), running_statistics(generator)) == (2_040_067, 4_224)
    assert (parameters(discriminator), running_statistics(discriminator)) == (38_245_569, 3_712)
    assert parameters(generator) + running_statistics(generator) == 2_044_291
    assert parameters(discriminator) + running_statistics(discriminator) == 38_249_281


def test_each_layer_has_the_number_of_the_specification() -> None:
    with torch.device("meta"):
        generator, discriminator = SRGANKerasGenerator(), SRGANKerasDiscriminator()
    own = [[parameters(part) for part in generator.first], [parameters(part) for part in generator.doubled]]
    assert own == [[15_616, 64], [147_712, 0, 256, 590_080, 0, 256]]
    block = generator.blocks[0]
    assert parameters(block) + running_statistics(block) == 74_432
    assert parameters(generator.after_blocks) + running_statistics(generator.after_blocks) == 37_184
    assert parameters(generator.last) == 62_211
    convolutions = [parameters(part) for part in discriminator.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert convolutions == [
        1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 1_180_160, 2_359_808, 33_555_456, 1_025,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "momentum"),
    [(lambda: SRGANKerasGenerator(features=8, blocks=2), 0.5), (lambda: SRGANKerasDiscriminator(8, 32), 0.2)],
)
def test_weights_start_and_batch_norm_follows_as_in_keras(build: Callable[[], nn.Module], momentum: float) -> None:
    model = drawn(build)
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            field = part.weight[0, 0].numel() if part.weight.ndim == 4 else 1
            limit = (6 / (field * (part.weight.shape[0] + part.weight.shape[1]))) ** 0.5
            assert 0.8 * limit < part.weight.abs().max() <= limit
            assert part.bias is not None and not part.bias.any()
        elif isinstance(part, nn.PReLU):
            assert not part.weight.any()
        elif isinstance(part, nn.BatchNorm2d):
            assert (part.eps, part.momentum) == (1e-3, momentum)


def test_the_image_is_doubled_between_convolution_and_prelu_and_the_output_is_linear() -> None:
    model = SRGANKerasGenerator(features=8, blocks=1)
    assert [type(part) for part in model.doubled] == 2 * [nn.Conv2d, nn.Upsample, nn.PReLU]
    assert {part.mode for part in model.doubled if isinstance(part, nn.Upsample)} == {"nearest"}
    with torch.no_grad():
        model.last.weight.mul_(1000)
        made = model(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert made.min() < -1 and made.max() > 2


def test_the_discriminator_strides_as_keras_pads_the_same() -> None:
    """With an even side Keras' first window of a stride of two begins at the first pixel, torch's one before it."""
    model = drawn(lambda: SRGANKerasDiscriminator(4, 32)).eval()
    convolution = next(part for part in model.features if isinstance(part, nn.Conv2d) and part.stride == (2, 2))
    seen: list[tuple[Tensor, Tensor]] = []
    convolution.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.no_grad():
        model(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
        ((given, found),) = seen
        expected = F.conv2d(given[..., :32, :32], convolution.weight, convolution.bias, stride=2)
    assert found.shape[-2:] == (16, 16)
    torch.testing.assert_close(found[..., :15, :15], expected)


def test_the_discriminator_refuses_other_sizes() -> None:
    model = SRGANKerasDiscriminator(4, 32)
    with pytest.raises(
        LeukoError, match=r"takes images of 32x32 pixels, not of 48x64: set patch and discriminator\.side"
    ):
        model(torch.rand(1, 3, 48, 64))
    with pytest.raises(LeukoError, match="40 is not a multiple of 16"):
        SRGANKerasDiscriminator(4, 40)


def test_the_content_is_measured_2325568_parameters_deep_after_a_relu() -> None:
    features = VGGFeatures("vgg19", ["relu3_4"], "none", normalise=False)
    assert parameters(features) == 2_325_568
    maps = features(torch.rand(1, 3, 32, 32))["relu3_4"]
    assert maps.shape == (1, 256, 8, 8) and maps.min() == 0


def test_the_published_training_is_of_one_image_a_step(compose_params: Callable[..., Params]) -> None:
    settings = compose_params("budget=paper", "arms=[raw]", "+method@train_sr.one=srgan_keras").train_sr["one"]
    assert isinstance(settings, SRGANKeras)
    (stage,) = settings.stages
    assert (settings.batch, settings.patch, settings.discriminator.side) == (1, 128, 128)
    assert (stage.learning_rate, stage.betas, stage.epsilon, stage.iterations) == (1e-3, (0.9, 0.999), 1e-7, 334_400)
    assert (settings.losses.perceptual, settings.losses.adversarial, settings.losses.image) == (1, 1e-3, 0)


def test_patch_and_side_are_one_number(published: Callable[[str], TrainSR]) -> None:
    settings = published("srgan_keras")
    with pytest.raises(ValidationError, match="patch = 96: the discriminator takes images of 64 pixels a side alone"):
        changed(settings, patch=96)


def test_the_losses_are_those_of_the_notebook(published: Callable[[str], TrainSR]) -> None:
    settings = published("srgan_keras")
    objective = settings.objective(settings.stages[0], 0, torch.device("cpu"))
    draws = torch.Generator().manual_seed(0)
    made, target = torch.rand(2, 3, 32, 32, generator=draws), torch.rand(2, 3, 32, 32, generator=draws)
    scores = torch.tensor([[0.3], [-1.2]])
    parts = objective.generator(made, target, scores)
    features = VGGFeatures("vgg19", ["relu3_4"], "none", normalise=False, seed=0)
    content = F.mse_loss(features(made)["relu3_4"], features(target)["relu3_4"])
    torch.testing.assert_close(parts["perceptual"], content)
    torch.testing.assert_close(parts["adversarial"], -1e-3 * torch.sigmoid(scores).log().mean())
    assert set(parts) == {"perceptual", "adversarial"} and objective.discriminator_turns is not None
    on_generated, on_real = (loss(scores) for loss in objective.discriminator_turns)
    torch.testing.assert_close(on_generated, -torch.sigmoid(-scores).log().mean())
    torch.testing.assert_close(on_real, -torch.sigmoid(scores).log().mean())


def test_the_discriminator_steps_on_generated_then_on_real_images_before_the_generator(
    published: Callable[[str], TrainSR], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny(published("srgan_keras"), iterations=1)
    pairs = smooth_pairs(3), smooth_pairs(1, seed=9)
    training = SRTraining("one", settings, *pairs, ssim_window=3, seed=0, device=torch.device("cpu"))
    assert training.discriminator is not None
    assert {optimizer.param_groups[0]["eps"] for optimizer in training.step.optimizers.values()} == {1e-7}
    before = training.generator.state_dict()["first.0.weight"].clone()
    told: list[Any] = []
    monkeypatch.setattr(training, "_validate", lambda losses: {})
    descend = training.step._descend

    def step(network: str, loss: Tensor) -> None:
        told.append(network)
        descend(network, loss)

    monkeypatch.setattr(training.step, "_descend", step)
    training.generator.register_forward_hook(
        lambda network, _, output: told.append(("made", network.training, output.requires_grad))
    )
    training.discriminator.register_forward_hook(
        lambda network, inputs, _: told.append(("judged", network.training, inputs[0].requires_grad))
    )
    training.run(Resume("work", 0, tmp_path), lambda *_: None)
    assert told == [
        ("made", False, False), ("judged", True, False), "discriminator", ("judged", True, False), "discriminator",
        ("made", True, True), ("judged", False, True), "generator",
    ]  # fmt: skip
    assert training.discriminator.training
    assert not torch.equal(before, training.generator.state_dict()["first.0.weight"])
