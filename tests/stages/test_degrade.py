"""What the stage degrade writes, and what trainings and arms read of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from leukosr.config import Jpeg, Params
from leukosr.data.manifest import Row, write_manifest
from leukosr.degradation import DEGRADATIONS, image_rng
from leukosr.degradation.jpeg import jpeg
from leukosr.engine.seeding import stream_seed
from leukosr.images.reading import read_hr, read_rgb, read_to_degrade
from leukosr.images.resampling import resize
from leukosr.layout import Layout
from leukosr.stages import degrade
from leukosr.stages.context import Context
from leukosr.stages.image_files import write_image
from leukosr.stages.training_inputs import drawn_afresh

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)


def degraded(params: Params, folder: Path, quiet: Console, names: str = "a") -> Context:
    (folder / "set").mkdir()
    for name in names:
        Image.fromarray(PIXELS).save(folder / f"set/{name}.png")
    layout = Layout("demo", folder / "outputs", folder / "reports")
    layout.root.mkdir(parents=True)
    rows = [Row(name, f"{name}.png", "cell", "s1", 60, 60, {"paper": "sr_train"}) for name in names]
    write_manifest(layout.manifest, rows)
    prepare = params.prepare.model_copy(update={"root": str(folder / "set")})
    context = Context(params.model_copy(update={"prepare": prepare}), layout, quiet)
    degrade.run(context)
    return context


def test_lr_is_stored_as_jpeg_where_the_study_says_so(
    compose_params: Callable[..., Params], tmp_path: Path, quiet: Console
) -> None:
    params = compose_params("study=demo", "image.height=60", "image.width=60", "degrade.file={jpeg:95}")
    context = degraded(params, tmp_path, quiet)
    assert [file.name for file in context.layout.lr.iterdir()] == ["a.jpg"]
    degradation = DEGRADATIONS["capstone"](degrade.degradation_settings(params))
    exact = degradation(PIXELS, image_rng(stream_seed(0, "degrade"), "a"))
    assert np.array_equal(read_rgb(context.layout.lr / "a.jpg"), jpeg(exact, 95))
    assert not np.array_equal(exact, jpeg(exact, 95))


def test_every_image_has_noise_of_its_own(
    compose_params: Callable[..., Params], tmp_path: Path, quiet: Console
) -> None:
    params = compose_params("study=demo", "image.height=60", "image.width=60")
    lr = degraded(params, tmp_path, quiet, "ab").layout.lr
    degradation = DEGRADATIONS["capstone"](degrade.degradation_settings(params))
    made = {name: degradation(PIXELS, image_rng(stream_seed(0, "degrade"), name)) for name in "ab"}
    assert [name for name, each in made.items() if not np.array_equal(read_rgb(lr / f"{name}.png"), each)] == []
    assert not np.array_equal(made["a"], made["b"])


def test_lr_drawn_afresh_loses_what_its_files_would(compose_params: Callable[..., Params]) -> None:
    stored = compose_params("study=demo", "degrade.on_the_fly=true", "degrade.file={jpeg:95}")
    exact = compose_params("study=demo", "degrade.on_the_fly=true")
    drawn = [drawn_afresh(each)(PIXELS, image_rng(0, "a")) for each in (exact, stored)]
    assert np.array_equal(jpeg(drawn[0], 95), drawn[1])


def test_lr_may_be_made_at_a_size_that_the_scale_does_not_divide(
    compose_params: Callable[..., Params], tmp_path: Path, quiet: Console
) -> None:
    sizes = ("image.height=64", "image.width=64", "image.degraded_at=[63,63]", "image.enlarging=pillow_bicubic")
    context = degraded(compose_params("study=demo", "degrade=bicubic", *sizes), tmp_path, quiet)
    image, file = context.params.image, tmp_path / "set/a.png"
    made_at = resize(PIXELS, (63, 63), "opencv_bicubic")
    assert np.array_equal(read_to_degrade(file, image), made_at)
    assert np.array_equal(read_hr(file, image), resize(made_at, (64, 64), "pillow_bicubic"))
    lr = read_rgb(context.layout.lr / "a.png")
    assert np.array_equal(lr, resize(made_at, (16, 16), "pillow_bicubic"))


@pytest.mark.parametrize(("file", "name"), [("png", "a.b.png"), (Jpeg(jpeg=75), "a.b.jpg")])
def test_an_image_is_written_in_the_format_asked_for(file: str | Jpeg, name: str, tmp_path: Path) -> None:
    write_image(tmp_path, "a.b", PIXELS, file)  # type: ignore[arg-type]
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_jpeg_that_lies_in_the_folder_does_not_take_the_png(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    write_image(tmp_path, "a", PIXELS, "png")
    assert np.array_equal(read_rgb(tmp_path / "a.png"), PIXELS)


@pytest.mark.parametrize(("side", "told"), [(60, False), (64, True)])
def test_images_smaller_than_hr_are_told(
    compose_params: Callable[..., Params], tmp_path: Path, side: int, told: bool
) -> None:
    console = Console(width=500)
    with console.capture() as said:
        degraded(compose_params("study=demo", f"image.height={side}", "image.width=60"), tmp_path, console)
    assert ("degrade: 1 of 1 images are smaller than the HR size of 64x60 and are enlarged" in said.get()) is told


def test_a_crop_is_what_is_enlarged(compose_params: Callable[..., Params]) -> None:
    image = compose_params("study=demo", "image.height=60", "image.width=60").image
    assert not image.enlarges(60, 90) and image.enlarges(90, 59)
    cropped = image.model_copy(update={"crop": (50, 90)})
    assert cropped.enlarges(300, 300)
    assert image.model_copy(update={"degraded_at": (61, 61)}).enlarges(60, 60)
