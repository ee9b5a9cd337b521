"""Distillation: a student learns its teacher's images, which are made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from leukosr.config import TrainSR
from leukosr.data.pairs import Pairs
from leukosr.engine.processes import ALONE
from leukosr.engine.resume import Resume
from leukosr.errors import LeukoError
from leukosr.evaluate.image_quality import compare_images
from leukosr.superres import teacher
from leukosr.superres.methods.distil import Distil
from leukosr.superres.trainer import SRTraining
from leukosr.superres.upscaler import upscale_batch, upscale_images
from leukosr.superres.weights import load_generator, save_generator

from .tiny import changed, smooth_pairs, taught_by, teacher_of, tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def settings(published: Callable[[str], TrainSR]) -> Distil:
    made = tiny(published("distil"), iterations=40)
    assert isinstance(made, Distil)
    return made


def trained(settings: TrainSR, folder: Path, train: Pairs | None = None) -> SRTraining:
    pairs = train or smooth_pairs(3)
    training = SRTraining("one", settings, pairs, smooth_pairs(1, seed=9), ssim_window=3, seed=0, device=CPU)
    training.run(Resume("work", float("inf"), folder), lambda iteration, row: None)
    return training


def images_of(settings: Distil, train: Pairs, folder: Path) -> list[np.ndarray]:
    targets = settings.targets(train, folder, CPU, ALONE)
    return [targets[i] for i in range(len(train))]


def test_the_targets_are_the_teachers_images_and_where_asked_the_originals_beside(
    settings: Distil, tmp_path: Path
) -> None:
    train = smooth_pairs(3)
    model = load_generator(settings.teacher).model
    expected = [upscale_batch(model, [train.lr[i]], settings, CPU)[0] for i in range(3)]
    alone = images_of(settings, train, tmp_path)
    assert all(np.array_equal(image, wanted) for image, wanted in zip(alone, expected, strict=True))
    both = images_of(settings.model_copy(update={"originals": 0.5}), train, tmp_path)
    for i, image in enumerate(both):
        assert np.array_equal(image, np.concatenate((expected[i], train.hr[i]), axis=2))


def test_a_student_comes_closer_to_its_teacher_than_to_the_originals(settings: Distil, tmp_path: Path) -> None:
    train = smooth_pairs(3)
    target = images_of(settings, train, tmp_path)

    def distance(training: SRTraining) -> float:
        made = [upscale_batch(training.result, [train.lr[i]], settings, CPU)[0] for i in range(3)]
        return float(np.mean([compare_images(*pair, 3).psnr for pair in zip(made, target, strict=True)]))

    before = distance(SRTraining("one", settings, train, smooth_pairs(1), ssim_window=3, seed=0, device=CPU))
    after = distance(trained(settings, tmp_path))
    towards_originals = distance(trained(changed(settings, originals=0.99), tmp_path))
    assert after > before + 3
    assert after > towards_originals + 1


def test_the_loss_shares_itself_out_between_teacher_and_originals(settings: Distil) -> None:
    half = changed(settings, originals=0.25)
    generated = torch.zeros(1, 3, 4, 4)
    target = torch.cat((torch.full((1, 3, 4, 4), 0.4), torch.full((1, 3, 4, 4), 0.8)), dim=1)
    parts = half.objective(half.stages[0], 0, CPU).generator(generated, target, None)
    assert {name: float(part) for name, part in parts.items()} == pytest.approx({"image": 0.3, "originals": 0.2})
    assert set(settings.objective(settings.stages[0], 0, CPU).generator(generated, target[:, :3], None)) == {"image"}


def test_the_teacher_is_asked_once_for_each_image_however_often_a_student_trains(
    settings: Distil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    made = upscale_images

    def counting(model: torch.nn.Module, images: object, *rest: object, **more: object) -> object:
        def counted() -> object:
            for image in images:  # type: ignore[attr-defined]
                asked.append(1)
                yield image

        return made(model, counted(), *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(teacher, "upscale_images", counting)
    images_of(settings, smooth_pairs(2), tmp_path)
    assert len(asked) == 2
    images_of(settings, smooth_pairs(3), tmp_path)  # two of the three are known
    assert len(asked) == 3
    other = settings.model_copy(update=taught_by(teacher_of(4, seed=1)))
    images_of(other, smooth_pairs(3), tmp_path)
    assert len(asked) == 6


def test_a_teacher_of_another_scale_is_refused(settings: Distil, tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"the teacher, enlarges by 2, the study by 4"):
        trained(changed(settings, **taught_by(teacher_of(2))), tmp_path)


@pytest.mark.parametrize("own", [None, "monocyte", "basophil"])
def test_a_teacher_of_one_class_teaches_only_students_of_that_class(
    settings: Distil, tmp_path: Path, own: str | None
) -> None:
    loaded = load_generator(settings.teacher)
    path = tmp_path / "basophils.safetensors"
    save_generator(path, loaded.model, loaded.architecture, 4, loaded.arguments, {"only_class": "basophil"})
    known = settings.model_copy(update={**taught_by(str(path)), "only_class": "basophil"})
    assert len(images_of(known, smooth_pairs(2), tmp_path)) == 2
    student = known.model_copy(update={"only_class": own})  # its teacher's images are there by now
    if own == "basophil":
        assert len(images_of(student, smooth_pairs(2), tmp_path)) == 2
        return
    with pytest.raises(LeukoError, match="was trained on the class basophil alone, so that its images tell the label"):
        images_of(student, smooth_pairs(2), tmp_path)


def test_lr_that_is_drawn_for_every_sample_is_refused(settings: Distil, tmp_path: Path) -> None:
    fresh = replace(smooth_pairs(3), degrade=lambda hr, rng: hr[::4, ::4])
    with pytest.raises(LeukoError, match=r"set degrade\.on_the_fly to false"):
        trained(settings, tmp_path, fresh)


def test_a_teacher_that_is_not_there_is_named(settings: Distil, tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"none\.safetensors"):
        trained(changed(settings, **taught_by(str(tmp_path / "none.safetensors"))), tmp_path)


def test_every_parameter_of_the_student_learns(settings: Distil, tmp_path: Path) -> None:
    start = SRTraining("one", settings, smooth_pairs(3), smooth_pairs(1), ssim_window=3, seed=0, device=CPU)
    before: dict[str, Tensor] = start.generator.state_dict()
    after = trained(settings, tmp_path).generator.state_dict()
    assert [name for name, tensor in after.items() if torch.equal(tensor, before[name])] == []
