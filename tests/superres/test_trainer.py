"""SR training: it learns, it repeats itself exactly, and a cut changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leukosr.config import TrainSR
from leukosr.engine.resume import Resume
from leukosr.errors import Diverged, LeukoError
from leukosr.evaluate.image_quality import compare_images
from leukosr.superres.progress import history_columns
from leukosr.superres.trainer import SRTraining
from leukosr.superres.upscaler import upscale_batch
from leukosr.superres.weights import save_generator

from .tiny import changed, smooth_pairs, tiny

CPU = torch.device("cpu")
METHODS = ("srgan", "real_esrgan")
GENERATOR = {"srgan": {"features": 4, "blocks": 1}, "real_esrgan": {"features": 4, "blocks": 1, "growth": 2}}
# iterations of the stages: SRGAN has one, Real-ESRGAN two
ITERATIONS = {"srgan": (7,), "real_esrgan": (4, 3)}


class Cut(Exception):
    """Stands for a power cut."""


@pytest.fixture(scope="module")
def settings(published: Callable[[str], TrainSR]) -> Callable[..., TrainSR]:
    """Settings of a tiny training; keywords replace fields, `stage` those of every stage."""

    def made(method: str, stage: dict[str, Any] | None = None, perceptual: float = 0.0, **changes: Any) -> TrainSR:
        wanted = published(method)
        stages = [
            {**part.model_dump(mode="json"), "iterations": iterations, **(stage or {})}
            for part, iterations in zip(wanted.stages, ITERATIONS[method], strict=True)
        ]
        small: dict[str, Any] = {"generator": GENERATOR[method], "discriminator": {"features": 2}, "stages": stages,
                 "validate_every": 3, "losses": {"perceptual": perceptual}}  # fmt: skip
        return tiny(wanted, **small | changes)

    return made


def start(method: str, settings: TrainSR, seed: int = 0) -> SRTraining:
    return SRTraining(method, settings, smooth_pairs(4), smooth_pairs(2, seed=9), ssim_window=3, seed=seed, device=CPU)


def train(training: SRTraining, folder: Path, cut_after: int | None = None, seconds: float = 1e9) -> SRTraining:
    def report(iteration: int, row: dict[str, Any] | None) -> None:
        if iteration == cut_after:
            raise Cut

    training.run(Resume("work", seconds, folder), report)
    return training


def state_of(training: SRTraining) -> dict[str, torch.Tensor]:
    networks = {"g": training.generator, "d": training.discriminator, "kept": training.result}
    return {f"{key}.{name}": t for key, network in networks.items() for name, t in network.state_dict().items()}


def rows_of(training: SRTraining) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in training.progress.history]


def assert_identical(one: SRTraining, other: SRTraining) -> None:
    first, second = state_of(one), state_of(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert rows_of(one) == rows_of(other)
    assert one.progress.best_iteration == other.progress.best_iteration
    assert all(torch.equal(one.progress.best[name], other.progress.best[name]) for name in one.progress.best)


@pytest.mark.parametrize("method", METHODS)
def test_image_loss_falls_and_validation_psnr_rises(
    method: str, settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    wanted = settings(method, {"learning_rate": 4e-3}, validate_every=10)
    first = wanted.stages[0].model_copy(update={"iterations": 40})
    history = train(start(method, wanted.model_copy(update={"stages": [first]})), tmp_path).progress.history
    assert [row["iteration"] for row in history] == [10, 20, 30, 40]
    assert history[-1]["loss_image"] < 0.9 * history[0]["loss_image"]
    assert history[-1]["val_psnr"] > history[0]["val_psnr"]


def test_images_that_equal_their_originals_have_no_psnr(
    settings: Callable[..., TrainSR], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start("srgan", settings("srgan"))
    monkeypatch.setattr(training, "upscaled", lambda number: training.val.hr[number])
    (*_, last) = train(training, tmp_path).progress.history
    assert last["val_psnr"] is None and last["val_ssim"] == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_gives_the_same_weights_and_another_seed_others(
    method: str, settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    wanted = settings(method)
    runs = [train(start(method, wanted, seed), tmp_path) for seed in (5, 5, 6)]
    assert_identical(runs[0], runs[1])
    last = {"srgan": "g.tail.weight", "real_esrgan": "g.conv_last.weight"}[method]
    assert not torch.equal(state_of(runs[0])[last], state_of(runs[2])[last])
    assert rows_of(runs[0]) != rows_of(runs[2])


def test_training_leaves_the_global_random_state_alone(settings: Callable[..., TrainSR], tmp_path: Path) -> None:
    torch_before, numpy_before = torch.get_rng_state(), str(np.random.get_state(legacy=False))
    train(start("srgan", settings("srgan")), tmp_path)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert str(np.random.get_state(legacy=False)) == numpy_before


# 4 is the last iteration of Real-ESRGAN's first stage; 2 and 5 lie between two validations
@pytest.mark.parametrize("cut_after", [2, 4, 5, 6])
@pytest.mark.parametrize("method", METHODS)
def test_cut_and_resumed_training_equals_an_uninterrupted_one(
    method: str, cut_after: int, settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    wanted = settings(method)
    whole = train(start(method, wanted), tmp_path / "whole")
    with pytest.raises(Cut):
        train(start(method, wanted), tmp_path / "cut", cut_after, seconds=0)
    resumed = start(method, wanted)
    heard: list[tuple[int, bool]] = []
    resumed.run(Resume("work", 0, tmp_path / "cut"), lambda iteration, row: heard.append((iteration, row is not None)))
    again = [(row["iteration"], True) for row in whole.progress.history if row["iteration"] <= cut_after]
    assert [iteration for iteration, _ in heard[len(again) :]] == list(range(cut_after + 1, 8))
    assert heard[: len(again)] == again, "the curve before the cut comes first"
    assert_identical(whole, resumed)


def test_resumed_training_with_a_perceptual_loss_and_bf16_is_exact(
    settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    wanted = settings("real_esrgan", perceptual=1.0, precision="bf16")
    whole = train(start("real_esrgan", wanted), tmp_path / "whole")
    with pytest.raises(Cut):
        train(start("real_esrgan", wanted), tmp_path / "cut", cut_after=5, seconds=0)
    assert_identical(whole, train(start("real_esrgan", wanted), tmp_path / "cut"))
    assert whole.progress.history[-1]["loss_perceptual"] > 0


def test_iterations_after_the_last_checkpoint_are_repeated_exactly(
    settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    wanted = settings("real_esrgan")
    whole = train(start("real_esrgan", wanted), tmp_path / "whole")
    with pytest.raises(Cut):
        train(start("real_esrgan", wanted), tmp_path / "cut", cut_after=3, seconds=0)
    with pytest.raises(Cut):  # nothing is saved this time
        train(start("real_esrgan", wanted), tmp_path / "cut", cut_after=6)
    assert_identical(whole, train(start("real_esrgan", wanted), tmp_path / "cut"))


@pytest.mark.parametrize("decay", [0.15, 0.999])
def test_moving_average_warms_up_and_is_that_of_its_formula(
    decay: float, settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    wanted = settings("real_esrgan", ema=decay)
    wanted = wanted.model_copy(update={"stages": [wanted.stages[0].model_copy(update={"iterations": 6})]})
    training = start("real_esrgan", wanted)
    average: dict[str, torch.Tensor] = {}

    def follow(iteration: int, row: dict[str, Any] | None) -> None:
        weight = min(decay, iteration / (9 + iteration)) if average else 0.0
        for name, tensor in training.generator.state_dict().items():
            current = tensor.double()
            average[name] = current if name not in average else weight * average[name] + (1 - weight) * current

    training.run(Resume("work", 1e9, tmp_path), follow)
    found = training.result.state_dict()
    for name, tensor in average.items():
        torch.testing.assert_close(found[name].double(), tensor, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(found["conv_last.weight"], training.generator.state_dict()["conv_last.weight"], rtol=1e-6)


def test_without_averaging_the_generator_itself_is_kept(settings: Callable[..., TrainSR]) -> None:
    training = start("srgan", settings("srgan", ema=0.0))
    assert training.result is training.generator


def test_gan_stage_starts_from_the_averaged_weights(settings: Callable[..., TrainSR], tmp_path: Path) -> None:
    wanted = settings("real_esrgan", {"learning_rate": 1e-3}, ema=0.9)
    # a learning rate too small to move a float32 weight shows where the second stage starts
    frozen = wanted.stages[1].model_copy(update={"learning_rate": 1e-20})
    training = start("real_esrgan", wanted.model_copy(update={"stages": [wanted.stages[0], frozen]}))
    ends: dict[str, dict[str, torch.Tensor]] = {}

    def remember(iteration: int, row: dict[str, Any] | None) -> None:
        if iteration == 4:
            ends["averaged"] = {name: t.clone() for name, t in training.result.state_dict().items()}
            ends["raw"] = {name: t.clone() for name, t in training.generator.state_dict().items()}

    training.run(Resume("work", 1e9, tmp_path), remember)
    after = training.generator.state_dict()
    assert all(torch.allclose(after[name], tensor, atol=1e-12) for name, tensor in ends["averaged"].items())
    assert not torch.allclose(after["conv_first.weight"], ends["raw"]["conv_first.weight"], atol=1e-6)


def test_learning_rate_follows_milestones_within_each_stage(settings: Callable[..., TrainSR], tmp_path: Path) -> None:
    wanted = settings("real_esrgan", {"learning_rate": 0.01, "milestones": [1, 3], "gamma": 0.1}, validate_every=1)
    history = train(start("real_esrgan", wanted), tmp_path).progress.history
    assert [row["learning_rate"] for row in history] == pytest.approx([1e-2, 1e-3, 1e-3, 1e-4, 1e-2, 1e-3, 1e-3])


def test_history_has_a_row_a_validation_and_at_the_end_of_each_stage(
    settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    training = train(start("real_esrgan", settings("real_esrgan")), tmp_path)
    history = training.progress.history
    assert [(row["iteration"], row["stage"]) for row in history] == [(3, "net"), (4, "net"), (6, "gan"), (7, "gan")]
    assert history_columns(history) == [
        "iteration", "stage", "learning_rate", "loss_generator", "loss_image", "loss_adversarial", "loss_discriminator",
        "val_psnr", "val_ssim", "seconds",
    ]  # fmt: skip
    assert "loss_discriminator" not in history[0]
    assert history[-1]["loss_discriminator"] > 0
    best = max(history, key=lambda row: row["val_psnr"])
    assert (training.progress.best_iteration, training.progress.best_psnr) == (best["iteration"], best["val_psnr"])


def test_loss_in_the_history_is_the_mean_since_the_last_validation(
    settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    each = train(start("srgan", settings("srgan", validate_every=1)), tmp_path / "1").progress.history
    third = train(start("srgan", settings("srgan", validate_every=3)), tmp_path / "3").progress.history
    losses = [row["loss_generator"] for row in each]
    assert [row["loss_generator"] for row in third] == pytest.approx(
        [np.mean(losses[0:3]), np.mean(losses[3:6]), losses[6]], rel=1e-6
    )


def test_training_starts_from_the_weights_that_start_names(settings: Callable[..., TrainSR], tmp_path: Path) -> None:
    donor = start("srgan", settings("srgan"), seed=77)
    save_generator(tmp_path / "donor.safetensors", donor.generator, "srgan", 4, GENERATOR["srgan"])
    named = dict.fromkeys(("start", "reads"), str(tmp_path / "donor.safetensors"))
    training = start("srgan", settings("srgan", **named))
    wanted = donor.generator.state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in training.generator.state_dict().items())
    with pytest.raises(LeukoError, match=r"donor\.safetensors"):
        start("real_esrgan", settings("real_esrgan", **named))


def test_loss_that_is_not_finite_stops_the_training(settings: Callable[..., TrainSR], tmp_path: Path) -> None:
    exploding = changed(settings("srgan"), losses={"image": 1e39})
    with pytest.raises(LeukoError, match=r"train_sr\.srgan: the loss is not finite at iteration 1"):
        train(start("srgan", exploding), tmp_path)
    training = start("srgan", settings("srgan"))
    last = [each for each in training.generator.parameters() if each.requires_grad][-1]
    last.register_hook(lambda gradient: gradient * float("inf") if training.progress.iteration == 2 else gradient)
    with pytest.raises(LeukoError, match=r"train_sr\.srgan: weights are not finite at iteration 3"):
        train(training, tmp_path / "weights")


@pytest.mark.parametrize("iteration", [4, 6])  # the loss of 5 is not finite; the weights before a validation are not
def test_a_training_that_diverged_in_bf16_begins_anew_in_fp32(
    iteration: int, settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    diverging = start("srgan", settings("srgan", precision="bf16"))
    last = [each for each in diverging.generator.parameters() if each.requires_grad][-1]
    last.register_hook(lambda grad: grad * float("inf") if diverging.progress.iteration + 1 == iteration else grad)
    saved: list[bool] = []

    def report(iteration: int, row: dict[str, Any] | None) -> None:
        saved.append(any(tmp_path.rglob("sr.pt")))

    with pytest.raises(Diverged, match="set precision to fp32"):
        diverging.run(Resume.computed_in("bf16", "work", 0, tmp_path), report)
    assert saved and all(saved)
    again = start("srgan", settings("srgan"))
    again.run(Resume.computed_in("fp32", "work", 0, tmp_path), lambda iteration, row: None)
    assert again.progress.iteration == 7


@pytest.mark.parametrize("method", METHODS)
def test_bf16_and_fp32_train_to_similar_but_not_equal_weights(
    method: str, settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    runs = [train(start(method, settings(method, precision=p)), tmp_path / p) for p in ("fp32", "bf16")]
    losses = [run.progress.history[-1]["loss_image"] for run in runs]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert all(p.dtype == torch.float32 for run in runs for p in run.generator.parameters())


def test_no_training_images_is_refused_with_the_key_to_raise(settings: Callable[..., TrainSR]) -> None:
    with pytest.raises(LeukoError, match=r"prepare\.per_class\.sr_train"):
        SRTraining("srgan", settings("srgan"), smooth_pairs(0), smooth_pairs(1), ssim_window=3, seed=0, device=CPU)


def test_training_without_validation_images_keeps_no_best(settings: Callable[..., TrainSR], tmp_path: Path) -> None:
    training = SRTraining(
        "srgan", settings("srgan"), smooth_pairs(2), smooth_pairs(0), ssim_window=3, seed=0, device=CPU
    )
    train(training, tmp_path)
    assert training.progress.best == {}
    assert [row["val_psnr"] for row in training.progress.history] == [None, None, None]


def test_trainings_of_one_method_draw_from_streams_of_their_own(
    settings: Callable[..., TrainSR], tmp_path: Path
) -> None:
    one, other = start("srgan", settings("srgan")), start("srgan_b", settings("srgan"))
    assert not torch.equal(state_of(one)["g.tail.weight"], state_of(other)["g.tail.weight"])


def test_validation_scores_what_the_study_scores(settings: Callable[..., TrainSR], tmp_path: Path) -> None:
    scored: dict[str, float] = {}
    for channels in ("rgb", "luminance"):
        training = SRTraining(
            "srgan", settings("srgan"), smooth_pairs(4), smooth_pairs(2, seed=9), ssim_window=3, channels=channels,
            seed=0, device=CPU,
        )  # fmt: skip
        scored[channels] = train(training, tmp_path / channels).progress.history[-1]["val_psnr"]
        made = upscale_batch(training.result, [training.val.lr[0]], training.settings, CPU)[0]
        first = compare_images(made, training.val.hr[0], 3, channels).psnr
        other = upscale_batch(training.result, [training.val.lr[1]], training.settings, CPU)[0]
        second = compare_images(other, training.val.hr[1], 3, channels).psnr
        assert scored[channels] == pytest.approx((first + second) / 2)
    assert scored["rgb"] != scored["luminance"]
