"""Every registered method trains, resumes to the bit, keeps its weights and refuses settings that are not its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from leukosr.config import Params, TrainSR
from leukosr.engine.processes import Processes
from leukosr.engine.resume import Resume
from leukosr.engine.seeding import StreamRoots
from leukosr.errors import LeukoError
from leukosr.superres import DISCRIMINATORS, GENERATORS
from leukosr.superres.methods import METHODS
from leukosr.superres.trainer import SRTraining
from leukosr.superres.weights import load_generator, save_generator

from .tiny import smooth_pairs, tiny

CPU = torch.device("cpu")
CONF = Path(__file__).resolve().parents[2] / "conf"


class Cut(Exception):
    """Stands for a power cut."""


def start(settings: TrainSR, scale: int = 4) -> SRTraining:
    pairs = smooth_pairs(3, scale=scale), smooth_pairs(1, seed=9, scale=scale)
    return SRTraining("one", settings, *pairs, ssim_window=3, seed=0, device=CPU)


def train(training: SRTraining, folder: Path, cut_after: int | None = None) -> SRTraining:
    def report(iteration: int, row: dict[str, Any] | None) -> None:
        if iteration == cut_after:
            raise Cut

    training.run(Resume("work", 0, folder), report)
    return training


def state_of(training: SRTraining) -> dict[str, torch.Tensor]:
    networks = {"g": training.generator, "d": training.discriminator, "kept": training.result}
    return {
        f"{key}.{name}": tensor
        for key, network in networks.items()
        if network is not None
        for name, tensor in network.state_dict().items()
    }


FILES = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))  # of the methods and their variants
COLUMNS = ["smoke", "cpu", "published", "gpu", "paper"]


def test_every_method_has_its_file_of_settings_and_every_file_its_method(published: Callable[[str], TrainSR]) -> None:
    assert set(METHODS) <= set(FILES)
    assert {published(name).method for name in FILES} == set(METHODS)
    assert all(published(name).method == name for name in METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_networks_that_are_registered(method: str, published: Callable[[str], TrainSR]) -> None:
    settings = published(method)
    assert type(settings) is METHODS[method]
    assert settings.architecture in GENERATORS
    assert (settings.build_discriminator() is None) or settings.architecture in DISCRIMINATORS


@pytest.mark.parametrize(
    "column", [COLUMNS[0], *(pytest.param(column, marks=pytest.mark.slow) for column in COLUMNS[1:])]
)
@pytest.mark.parametrize("method", FILES)
def test_a_method_has_sizes_for_every_budget(method: str, column: str, compose_params: Callable[..., Params]) -> None:
    chosen = [f"budget={column}", "arms=[raw]", f"+method@train_sr.one={method}"]
    settings = compose_params(*chosen).train_sr["one"]
    sizes = settings.sizes
    assert settings.batch == sizes["batch"]
    fixed = {"channels", "conditions", "residual"}  # by no budget
    assert settings.generator.model_dump(exclude=fixed).items() <= sizes.items()
    assert compose_params(*chosen, "train_sr.one.batch=3").train_sr["one"].batch == 3


@pytest.mark.parametrize("method", METHODS)
def test_a_cut_and_resumed_training_equals_an_uninterrupted_one(
    method: str, published: Callable[[str], TrainSR], tmp_path: Path
) -> None:
    settings = tiny(published(method))
    whole = train(start(settings), tmp_path / "whole")
    before = state_of(start(settings))
    last = whole.iterations
    assert whole.progress.iteration == last
    assert any(not torch.equal(tensor, before[name]) for name, tensor in state_of(whole).items())
    assert all(row["loss_generator"] > 0 and row["loss_image"] > 0 for row in whole.progress.history)
    with pytest.raises(Cut):
        train(start(settings), tmp_path / "cut", cut_after=last - 1)
    resumed = train(start(settings), tmp_path / "cut")
    expected, found = state_of(whole), state_of(resumed)
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


def test_a_classifier_with_dropout_that_drives_sr_repeats_itself_and_resumes_exactly(
    published: Callable[[str], TrainSR], tmp_path: Path
) -> None:
    settings = tiny(published("task_driven"), iterations=2, backbone="timm/rexnet_100")
    training = start(settings)
    judge = training.discriminator
    assert judge is not None and any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in judge.modules())
    expected = state_of(train(training, tmp_path / "whole"))
    torch.rand(3)  # whatever else has drawn since
    with pytest.raises(Cut):
        train(start(settings), tmp_path / "cut", cut_after=training.iterations - 1)
    torch.rand(3)
    found = state_of(train(start(settings), tmp_path / "cut"))
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


def test_each_iteration_draws_from_the_stream_that_the_seed_of_the_order_rules(
    published: Callable[[str], TrainSR], tmp_path: Path
) -> None:
    def drawn(**roots: int) -> list[int]:
        """The seed of the draws in each iteration."""
        seeds = StreamRoots(5, {"sr_init": 1, "order": 1, "augment": 1, **roots})  # type: ignore[dict-item]
        pairs, found = (smooth_pairs(3), smooth_pairs(0)), list[int]()
        training = SRTraining("one", tiny(published("srresnet")), *pairs, ssim_window=3, seed=seeds, device=CPU)
        training.generator.register_forward_pre_hook(lambda network, seen: found.append(torch.initial_seed()))
        train(training, tmp_path / str(roots))
        return found

    once = drawn()
    assert len(set(once)) == len(once) == 3
    assert once == drawn(augment=2) == drawn(sr_init=2)
    assert not set(once) & set(drawn(order=2))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_for_every_scale_of_its_network_and_keeps_its_weights(
    method: str, published: Callable[[str], TrainSR], tmp_path: Path
) -> None:
    settings = tiny(published(method), iterations=1)
    for scale in GENERATORS[settings.architecture].contract.scales:
        settings = tiny(settings, iterations=1, scale=scale)
        training = train(start(settings, scale), tmp_path / str(scale))
        arguments = settings.generator.model_dump()
        path = tmp_path / f"{scale}.safetensors"
        save_generator(path, training.result, settings.architecture, scale, arguments)
        loaded = load_generator(path)
        assert (loaded.architecture, loaded.scale, loaded.arguments) == (settings.architecture, scale, arguments)
        wanted = training.result.state_dict()
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in loaded.model.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_settings_refuse_what_they_do_not_know(method: str, published: Callable[[str], TrainSR]) -> None:
    values = published(method).model_dump(mode="json")
    kind = METHODS[method]
    assert kind.model_validate(values).model_dump(mode="json") == values
    wrong: list[dict[str, Any]] = [{"depth": 3}, {"method": "esrgan"}, {"stages": []}]
    wrong += [
        {"generator": {**values["generator"], "depth": 3}},
        {"stages": [{**values["stages"][0], "loss": "content"}]},
    ]
    for change in wrong:
        with pytest.raises(ValidationError):
            kind.model_validate({**values, **change})


@pytest.mark.parametrize(("channels", "parameters"), [(1, 1_528_724), (3, 1_549_462)])
def test_srresnet_has_the_16_blocks_of_its_paper(
    channels: int, parameters: int, compose_params: Callable[..., Params]
) -> None:
    chosen = f"train_sr.one.generator.channels={channels}"
    settings = compose_params("budget=paper", "arms=[raw]", "+method@train_sr.one=srresnet", chosen).train_sr["one"]
    with torch.device("meta"):
        assert sum(p.numel() for p in settings.build_generator(4).parameters()) == parameters
    assert settings.build_discriminator() is None


@pytest.mark.parametrize("column", COLUMNS)
def test_fine_tuning_is_the_gan_stage_alone_of_the_published_network(
    column: str, compose_params: Callable[..., Params]
) -> None:
    tuned = compose_params(f"budget={column}", "arms=[real_esrgan_finetuned]").train_sr["real_esrgan"]
    assert [each.model_dump()["loss"] for each in tuned.stages] == ["gan"]
    assert tuned.stages[0].learning_rate == 0.0001
    assert (tuned.flips, tuned.ema) == ("horizontal", 0.999)
    published_size = column in {"published", "gpu", "paper"}
    assert (tuned.start is not None) is published_size, "narrow networks cannot take published weights"
    with torch.device("meta"):
        parameters = sum(each.numel() for each in tuned.build_generator(4).parameters())
    assert (parameters == GENERATORS["real_esrgan"].parameters) is published_size


@pytest.mark.parametrize("column", COLUMNS)
def test_fine_tuning_for_psnr_is_l1_alone_towards_targets_that_are_not_sharpened(
    column: str, compose_params: Callable[..., Params]
) -> None:
    tuned = compose_params(f"budget={column}", "arms=[real_esrnet_finetuned]").train_sr["real_esrnet_finetuned"]
    assert [each.model_dump()["loss"] for each in tuned.stages] == ["l1"]
    assert not tuned.model_dump()["sharpen_target"]
    assert (tuned.start is None) is (column == "smoke"), "narrow networks cannot take published weights"
    with torch.device("meta"):
        parameters = sum(each.numel() for each in tuned.build_generator(4).parameters())
    assert (parameters == GENERATORS["real_esrgan"].parameters) is (column != "smoke")


def test_fine_tuning_takes_the_generator_from_the_file_and_the_discriminator_from_nowhere(
    published: Callable[[str], TrainSR], tmp_path: Path
) -> None:
    settings = tiny(published("real_esrgan_finetune"), iterations=1)
    other = start(settings)
    with torch.no_grad():
        for weights in other.generator.parameters():
            weights.mul_(0.5)
    path = tmp_path / "weights.safetensors"
    save_generator(path, other.generator, settings.architecture, 4, settings.generator.model_dump())
    tuned, scratch = start(settings.model_copy(update={"start": str(path), "reads": str(path)})), start(settings)
    assert tuned.discriminator is not None and scratch.discriminator is not None
    for network, expected in (
        (tuned.generator, other.generator),
        (tuned.result, other.generator),
        (tuned.discriminator, scratch.discriminator),
    ):
        wanted = expected.state_dict()
        assert [k for k, weights in network.state_dict().items() if not torch.equal(weights, wanted[k])] == []


def test_whole_images_of_any_shape_train(published: Callable[[str], TrainSR], tmp_path: Path) -> None:
    settings = tiny(published("srgan_whole"), iterations=1, patch=None)
    training = train(start(settings), tmp_path)
    assert (training.patch, training.progress.iteration) == (None, 1)


def test_the_classifier_rests_while_pixels_alone_are_learnt(compose_params: Callable[..., Params]) -> None:
    training = compose_params("arms=[bicubic,task_driven_narrow]").train_sr["task_driven"]
    device = torch.device("cpu")
    learns = {stage.name: training.objective(stage, 0, device).trains_discriminator for stage in training.stages}
    assert learns == {"pixels": False, "warm_up": True, "task": True}


def test_a_classifier_whose_batch_norm_is_of_its_own_kind_is_refused_in_several_processes(
    published: Callable[[str], TrainSR],
) -> None:
    """Each process would normalise its own part of a batch, and judge SR by statistics of its own."""
    settings, pairs = tiny(published("task_driven")), (smooth_pairs(4), smooth_pairs(1))
    two = Processes(count=2, fabric=object())
    with pytest.raises(LeukoError, match=r"^the batch norm of train_sr\.task_driven cannot run in several processes"):
        SRTraining("task_driven", settings, *pairs, ssim_window=3, seed=0, device=CPU, processes=two)
    assert SRTraining("srgan", tiny(published("srgan")), *pairs, ssim_window=3, seed=0, device=CPU, processes=two)


def test_a_task_driven_training_refuses_patches(compose_params: Callable[..., Params]) -> None:
    with pytest.raises(LeukoError, match=r"train_sr\.task_driven\.patch = 64: only null"):
        compose_params("arms=[bicubic,task_driven]", "train_sr.task_driven.patch=64")


def test_two_trainings_of_one_method_stand_side_by_side(compose_params: Callable[..., Params]) -> None:
    params = compose_params("arms=[srgan]", "+method@train_sr.srgan_b=srgan", "train_sr.srgan_b.seed=7")
    assert list(params.train_sr) == ["srgan", "srgan_b"]
    assert (params.sr_seed("srgan"), params.sr_seed("srgan_b")) == (params.study.seed, 7)
