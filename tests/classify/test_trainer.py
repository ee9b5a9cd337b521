"""Classifier training: it learns, it repeats itself exactly, arms are paired, and a cut changes nothing."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from leukosr.classify.settings import Plateau
from leukosr.classify.trainer import ClassifierTraining, LabelledImages, predict
from leukosr.config import Classifier, FlipsAndLight, Head, Params
from leukosr.engine.processes import Processes
from leukosr.engine.resume import Resume
from leukosr.engine.seeding import Stream, StreamRoots
from leukosr.errors import Diverged, LeukoError
from leukosr.images.store import ImageStore

CPU = torch.device("cpu")
STRONG = FlipsAndLight(kind="flips_and_light", strength=0.8)


class Cut(Exception):
    """Stands for a power cut."""


def bright_and_dark(count: int, side: int = 32, seed: int = 0) -> LabelledImages:
    """Noise around 70 (class 0) and around 185 (class 1), by turns."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    pixels = [rng.integers(40, 100, (side, side, 3)) + 115 * label for label in labels]
    return LabelledImages(ImageStore(range(count), lambda i: pixels[i].astype(np.uint8)), labels)


@pytest.fixture(scope="module")
def settings(compose_params: Callable[..., Params]) -> Callable[..., Classifier]:
    published = compose_params("study=demo", "budget=smoke").classifier
    return lambda **changes: published.model_copy(update={"epochs": 3, "batch": 4, "precision": "fp32"} | changes)


def start(settings: Classifier, seed: int = 1, data: LabelledImages | None = None) -> ClassifierTraining:
    validation = bright_and_dark(6, seed=5) if settings.validation else None
    return ClassifierTraining(settings, 2, data or bright_and_dark(10), validation=validation, seed=seed, device=CPU)


def train(
    training: ClassifierTraining, folder: Path, cut_after: int | None = None, seconds: float = 1e9
) -> ClassifierTraining:
    def report(row: dict[str, Any]) -> None:
        if row["epoch"] == cut_after:
            raise Cut

    training.run(Resume("work", seconds, folder), report)
    return training


def rows_of(training: ClassifierTraining) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in training.history.rows]


def equal_weights(one: ClassifierTraining, other: ClassifierTraining) -> bool:
    state = other.model.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in one.model.state_dict().items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.usefixtures("small_resnet")
def test_classifier_learns_bright_from_dark(
    precision: str, settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    wanted = settings(epochs=6, learning_rate=0.02, precision=precision)
    training = train(start(wanted, data=bright_and_dark(16)), tmp_path)
    rows = training.history.rows
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    unseen = bright_and_dark(8, seed=1)
    probabilities = predict(training.model, unseen.images, wanted, CPU, batch=3)
    assert (probabilities.argmax(1) == unseen.labels).all()
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-9)


def test_resnet50_cut_after_an_epoch_and_resumed_equals_an_uninterrupted_training(
    settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    wanted, data = settings(epochs=2, precision="bf16"), bright_and_dark(4)
    whole = train(start(wanted, data=data), tmp_path / "whole")
    with pytest.raises(Cut):
        train(start(wanted, data=data), tmp_path / "cut", cut_after=1, seconds=0)
    resumed = train(start(wanted, data=data), tmp_path / "cut")
    assert equal_weights(whole, resumed)
    assert rows_of(whole) == rows_of(resumed)


@pytest.mark.parametrize("cut_after", [1, 2, 3])
@pytest.mark.usefixtures("small_resnet")
def test_training_resumes_exactly_after_any_epoch(
    cut_after: int, settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    whole = train(start(settings()), tmp_path / "whole")
    with pytest.raises(Cut):
        train(start(settings()), tmp_path / "cut", cut_after, seconds=0)
    resumed = start(settings())
    heard: list[int] = []
    resumed.run(Resume("work", 0, tmp_path / "cut"), lambda row: heard.append(row["epoch"]))
    assert heard == [1, 2, 3]  # the epochs before the cut are told again: a new MLflow run has the whole curve
    assert equal_weights(whole, resumed)
    assert rows_of(whole) == rows_of(resumed)


@pytest.mark.usefixtures("small_resnet")
def test_same_seed_gives_the_same_classifier_and_another_seed_another(
    settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    one, same, other = (train(start(settings(), seed), tmp_path) for seed in (1, 1, 2))
    assert equal_weights(one, same)
    assert rows_of(one) == rows_of(same)
    assert not equal_weights(one, other)


class Recording(ImageStore[int]):
    """Remembers in which order images are asked for."""

    def __init__(self, side: int) -> None:
        rng = np.random.default_rng(side)
        pixels = rng.integers(0, 256, (10, side, side, 3), dtype=np.uint8)
        super().__init__(range(10), lambda i: pixels[i])
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> np.ndarray:
        self.asked.append(index)
        return super().__getitem__(index)


@pytest.mark.usefixtures("small_resnet")
def test_arms_start_from_the_same_weights_and_see_images_in_the_same_order(
    settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    labels = np.arange(10, dtype=np.int64) % 2
    arms = [Recording(16), Recording(48)]
    trainings = [start(settings(), 3, LabelledImages(images, labels)) for images in arms]
    assert equal_weights(*trainings)
    for training in trainings:
        train(training, tmp_path)
    assert arms[0].asked == arms[1].asked
    epochs = [arms[0].asked[first : first + 10] for first in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]


# 9 images in batches of 4 leave one image; so do 5, in a single other batch
@pytest.mark.parametrize("count", [5, 9, 13])
def test_last_image_alone_joins_the_batch_before_it(
    count: int, settings: Callable[..., Classifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bright_and_dark(count)
    batches: list[list[int]] = []
    original = LabelledImages.batch

    def recorded(self: LabelledImages, indices: list[int]) -> tuple[np.ndarray, np.ndarray]:
        batches.append(list(indices))
        return original(self, indices)

    monkeypatch.setattr(LabelledImages, "batch", recorded)
    # 32 x 32 is a single pixel at ResNet50's end, which batch norm refuses for one image
    train(start(settings(epochs=1), data=data), tmp_path)
    assert sorted(index for batch in batches for index in batch) == list(range(count))
    assert [len(batch) for batch in batches] == [4] * (count // 4 - 1) + [5]


@pytest.mark.usefixtures("small_resnet")
def test_reported_loss_and_accuracy_are_means_over_images(settings: Callable[..., Classifier], tmp_path: Path) -> None:
    data = bright_and_dark(10)
    training = start(settings(epochs=1, batch=10), data=data)
    batch = torch.from_numpy(data.images.take(range(10))).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        logits = training.model.train()(batch)
    labels = torch.from_numpy(data.labels)
    row = train(training, tmp_path).history.rows[0]
    assert row["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-4)
    assert row["accuracy"] == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert (row["seed"], row["epoch"], row["learning_rate"]) == (1, 1, 0.001)


@pytest.mark.usefixtures("small_resnet")
def test_loss_that_is_not_finite_stops_the_training(settings: Callable[..., Classifier], tmp_path: Path) -> None:
    training = start(settings())
    with torch.no_grad():
        training.model.network.fc.bias.fill_(float("nan"))
    with pytest.raises(LeukoError, match="the loss is not finite in epoch 1 of seed 1"):
        train(training, tmp_path)


@pytest.mark.usefixtures("small_resnet")
def test_weights_that_the_last_step_broke_stop_the_training(
    settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    training = start(settings(epochs=1, batch=10), data=bright_and_dark(10))
    training.model.network.fc.bias.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(LeukoError, match="weights are not finite in epoch 1 of seed 1"):
        train(training, tmp_path)
    with pytest.raises(LeukoError, match="the classifier gives values that are not finite in fp32"):
        predict(training.model, bright_and_dark(2).images, settings(precision="fp32"), CPU)


@pytest.mark.usefixtures("small_resnet")
def test_classifiers_of_which_one_diverged_in_bf16_begin_anew_in_fp32(
    settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    kept = Resume.computed_in("bf16", "work", 0, tmp_path)
    kept.save("finished-seed-0", {"history": []})
    diverging = start(settings(precision="bf16"))

    def spoil(row: dict[str, Any]) -> None:
        with torch.no_grad():
            diverging.model.network.fc.bias.fill_(float("nan"))

    with pytest.raises(Diverged, match=r"epoch 2 of seed 1: .* set classifier\.precision to fp32"):
        diverging.run(kept, spoil)
    again = start(settings())
    again.run(Resume.computed_in("fp32", "work", 0, tmp_path), lambda row: None)
    assert [row["epoch"] for row in again.history.rows] == [1, 2, 3]


@pytest.mark.usefixtures("small_resnet")
def test_predictions_do_not_depend_on_the_batch_size(settings: Callable[..., Classifier], tmp_path: Path) -> None:
    training, images = train(start(settings()), tmp_path), bright_and_dark(7, seed=2).images
    alone = predict(training.model, images, settings(), CPU, batch=1)
    np.testing.assert_allclose(alone, predict(training.model, images, settings(), CPU, batch=4), atol=1e-6)


@pytest.mark.usefixtures("small_resnet")
def test_training_leaves_the_global_random_state_alone(settings: Callable[..., Classifier], tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(start(settings()), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("small_resnet")
def test_training_with_all_options_resumes_exactly(settings: Callable[..., Classifier], tmp_path: Path) -> None:
    wanted = settings(
        ema=0.9, augmentations=[STRONG], optimizer="adamw", weight_decay=0.01, warm_up=0.2, schedule="cosine",
        head=Head(hidden=(8,), dropout=0.5), validation=0.2, keep="best", norm_layers="group",
    )  # fmt: skip
    whole = train(start(wanted), tmp_path / "whole")
    with pytest.raises(Cut):
        train(start(wanted), tmp_path / "cut", cut_after=2, seconds=0)
    resumed = train(start(wanted), tmp_path / "cut")
    assert equal_weights(whole, resumed)
    kept = resumed.result.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in whole.result.state_dict().items())


@pytest.mark.usefixtures("small_resnet")
def test_the_average_is_tested_where_there_is_one(settings: Callable[..., Classifier], tmp_path: Path) -> None:
    plain, averaged = (train(start(settings(ema=ema)), tmp_path / str(ema)) for ema in (0.0, 0.9))
    assert plain.result is plain.model
    assert equal_weights(plain, averaged)  # what is trained stays the same
    kept = averaged.result.state_dict()
    assert any(not torch.equal(tensor, kept[name]) for name, tensor in averaged.model.state_dict().items())


def test_group_norm_trains_in_the_other_layout_on_a_cpu(settings: Callable[..., Classifier]) -> None:
    for norm, on_cpu in {"batch": True, "group": False, "layer": False}.items():
        recipe = settings(norm_layers=norm, channels_last=True)
        assert (recipe.trains_channels_last("cpu"), recipe.trains_channels_last("cuda")) == (on_cpu, True)
        assert not settings(norm_layers=norm, channels_last=False).trains_channels_last("cuda")


def test_batch_norm_that_follows_no_batch_runs_in_several_processes(settings: Callable[..., Classifier]) -> None:
    two = Processes(count=2, fabric=object())
    for norm in ("batch", "frozen_batch"):
        recipe = settings(backbone="efficientnet_lite0", norm_layers=norm)  # timm's own kind of batch norm
        with pytest.raises(LeukoError, match="to frozen_batch or group") if norm == "batch" else nullcontext():
            ClassifierTraining(recipe, 2, bright_and_dark(10), seed=1, device=CPU, processes=two)


def test_the_learning_rate_rises_and_falls(settings: Callable[..., Classifier]) -> None:
    recipe = settings(warm_up=0.1, schedule="cosine", learning_rate=0.01)
    seen = [recipe.rate_at(step, 100) for step in range(100)]
    assert seen[:10] == pytest.approx([0.001 * (n + 1) for n in range(10)])
    assert seen[10] == pytest.approx(0.01)
    assert seen[55] == pytest.approx(0.005)
    assert seen[99] < 0.0001
    assert settings(learning_rate=0.01).rate_at(99, 100) == 0.01


@pytest.mark.usefixtures("small_resnet")
@pytest.mark.parametrize("stream", ["init", "order", "augment"])
def test_each_stream_moves_the_training_by_itself(
    stream: Stream, settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    wanted = settings(augmentations=[STRONG], epochs=1)

    def trained(**roots: int) -> ClassifierTraining:
        seeds = {"init": 1, "order": 1, "augment": 1, **roots}
        return train(
            ClassifierTraining(wanted, 2, bright_and_dark(10), seed=StreamRoots(5, seeds), device=CPU),  # type: ignore[arg-type]
            tmp_path,
        )

    assert equal_weights(trained(), train(start(wanted, seed=1), tmp_path))
    assert not equal_weights(trained(), trained(**{stream: 2}))
    assert trained().history.rows[0]["seed"] == 5


@pytest.mark.usefixtures("small_resnet")
def test_dropout_draws_from_the_stream_that_every_sweep_varies(
    settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    def drawn(**roots: int) -> list[int]:
        """The seed of the draws in each step."""
        seeds = StreamRoots(5, {"init": 1, "order": 1, "augment": 1, **roots})  # type: ignore[dict-item]
        training = ClassifierTraining(settings(epochs=1), 2, bright_and_dark(10), seed=seeds, device=CPU)
        found: list[int] = []
        training.model.register_forward_pre_hook(lambda module, inputs: found.append(torch.initial_seed()))
        train(training, tmp_path)
        return found

    assert drawn() and drawn() == drawn(augment=2) == drawn(init=2)
    assert drawn() != drawn(order=2)


@pytest.mark.usefixtures("small_resnet")
def test_weights_decay_where_that_is_asked(settings: Callable[..., Classifier]) -> None:
    assert type(start(settings()).optimizer) is torch.optim.Adam
    decaying = start(settings(optimizer="adamw", weight_decay=0.01)).optimizer
    assert type(decaying) is torch.optim.AdamW
    assert decaying.param_groups[0]["weight_decay"] == 0.01
    sgd = start(settings(optimizer="sgd", momentum=0.8)).optimizer
    assert type(sgd) is torch.optim.SGD
    assert sgd.param_groups[0]["momentum"] == 0.8


def losses(training: ClassifierTraining, monkeypatch: pytest.MonkeyPatch, *values: float) -> list[dict[str, Tensor]]:
    """Let the training find these validation losses, one an epoch; the weights that it had at each."""
    seen: list[dict[str, Tensor]] = []

    def found(self: ClassifierTraining) -> dict[str, float]:
        seen.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        return {"val_loss": values[len(seen) - 1], "val_accuracy": 0.5}

    monkeypatch.setattr(ClassifierTraining, "_validated", found)
    return seen


@pytest.mark.usefixtures("small_resnet")
def test_the_epoch_of_the_best_validation_loss_is_kept(
    settings: Callable[..., Classifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(settings(validation=0.2, keep="best", epochs=4))
    seen = losses(training, monkeypatch, 0.9, 0.5, 0.7, 0.5)
    train(training, tmp_path)
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in training.result.state_dict().items())


@pytest.mark.usefixtures("small_resnet")
def test_a_training_stops_where_the_validation_loss_no_longer_falls(
    settings: Callable[..., Classifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(settings(validation=0.2, patience=2, epochs=9))
    losses(training, monkeypatch, 0.9, 1.0, 0.8, 0.8, 0.9)
    assert len(train(training, tmp_path).history.rows) == 5


@pytest.mark.usefixtures("small_resnet")
def test_the_learning_rate_falls_on_a_plateau_as_torch_lets_it(
    settings: Callable[..., Classifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = (0.9, 1.0, 0.95, 0.8, 0.8, 0.9, 0.85, 0.9, 0.7)
    training = start(settings(validation=0.2, schedule="plateau", epochs=len(values)))  # factor 0.1, patience 2
    losses(training, monkeypatch, *values)
    rates = [row["learning_rate"] for row in train(training, tmp_path).history.rows]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.001)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2, threshold=0)
    expected = []
    for value in values:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    assert rates == pytest.approx(expected)
    assert rates[-1] < rates[0]


@pytest.mark.usefixtures("small_resnet")
def test_the_learning_rate_falls_to_its_minimum_and_not_below(
    settings: Callable[..., Classifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plateau = Plateau(factor=0.1, patience=0, minimum=5e-5)
    training = start(settings(validation=0.2, schedule="plateau", plateau=plateau, epochs=4))
    losses(training, monkeypatch, 0.9, 0.9, 0.9, 0.9)
    rates = [row["learning_rate"] for row in train(training, tmp_path).history.rows]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 5e-5])


@pytest.mark.usefixtures("small_resnet")
def test_validation_images_change_nothing_of_what_is_trained(
    settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    plain, watched = (train(start(settings(validation=part)), tmp_path / str(part)) for part in (None, 0.2))
    assert equal_weights(plain, watched)
    assert not {"val_loss", "val_accuracy"} & plain.history.rows[0].keys()
    row = watched.history.rows[-1]
    probabilities = predict(watched.result, watched.validation.images, watched.settings, CPU)  # type: ignore[union-attr]
    labels = torch.from_numpy(watched.validation.labels)  # type: ignore[union-attr]
    expected = torch.nn.functional.nll_loss(torch.from_numpy(probabilities).log(), labels)
    assert row["val_loss"] == pytest.approx(float(expected))
    assert row["val_accuracy"] == pytest.approx((probabilities.argmax(1) == labels.numpy()).mean())


@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "squeezenet1_1", "timm/convnext_atto"])
def test_networks_that_draw_dropout_resume_exactly(
    backbone: str, settings: Callable[..., Classifier], tmp_path: Path
) -> None:
    wanted, data = settings(backbone=backbone, epochs=2, frozen="all_but_last_stage"), bright_and_dark(4, side=64)
    whole = train(start(wanted, data=data), tmp_path / "whole")
    with pytest.raises(Cut):
        train(start(wanted, data=data), tmp_path / "cut", cut_after=1, seconds=0)
    torch.rand(3)  # whatever else has drawn since
    resumed = train(start(wanted, data=data), tmp_path / "cut")
    assert equal_weights(whole, resumed)
    assert rows_of(whole) == rows_of(resumed)
