"""Super-resolution of a user's own files and folders."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from leukosr.errors import LeukoError
from leukosr.images.appearance import TrainingImages
from leukosr.outputs import MARKER
from leukosr.superres.enhance import Enhanced, enhance_path
from leukosr.superres.networks.real_esrgan import RRDBNet
from leukosr.superres.networks.srgan import SRGANGenerator
from leukosr.superres.weights import save_generator


@pytest.fixture(scope="module")
def generator() -> SRGANGenerator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return SRGANGenerator(scale=2, features=4, blocks=1).eval()


@pytest.fixture
def weights(generator: SRGANGenerator, tmp_path: Path) -> Path:
    path = tmp_path / "weights" / "last.safetensors"
    save_generator(path, generator, "srgan", 2, {"features": 4, "blocks": 1})
    return path


def draw(path: Path, height: int = 10, width: int = 14, seed: int = 0) -> np.ndarray:
    """Write a random image and return what a reader of the file sees."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return read(path)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def enhance(source: Path, target: Path, weights: Path, **changes: Any) -> Enhanced:
    settings: dict[str, Any] = {"tile": 0, "overlap": 0, "precision": "fp32", "device_name": "cpu"}
    return enhance_path(source, target, weights, **(settings | changes))


def expected(model: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        batch = torch.tensor(image).permute(2, 0, 1)[None].float() / 255
        return (model(batch)[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 1


def test_one_file_becomes_one_larger_png(generator: SRGANGenerator, weights: Path, tmp_path: Path) -> None:
    image = draw(tmp_path / "cell.jpg")
    done = enhance(tmp_path / "cell.jpg", tmp_path / "new" / "cell_x2.png", weights)
    assert done == Enhanced(1, [], [])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["cell_x2.png"]
    assert_close(read(tmp_path / "new" / "cell_x2.png"), expected(generator, image))


def test_images_unlike_those_of_the_training_are_counted_and_one_is_named(
    generator: SRGANGenerator, tmp_path: Path
) -> None:
    images = [draw(tmp_path / "in" / f"{seed}.png", seed=seed) for seed in range(4)]
    note = {
        TrainingImages.key: TrainingImages.of(4, images.__getitem__, drawn=True).model_dump_json(),
        "budget": "smoke",
    }
    save_generator(tmp_path / "w.safetensors", generator, "srgan", 2, {"features": 4, "blocks": 1}, note)
    draw(tmp_path / "in" / "large.png", 20, 28)
    done = enhance(tmp_path / "in", tmp_path / "out", tmp_path / "w.safetensors")
    on_weights, on_images = done.notes
    assert done.written == 5 and on_weights.count("w.safetensors") == 1
    assert "drawn images" in on_weights and "smoke budget" in on_weights
    odd = (
        f"1 of 5 images are unlike the training images, e.g. {tmp_path / 'in' / 'large.png'}: size 20 x 28, trained on "
    )
    assert on_images.startswith(f"{odd}10 x 14 (height x width)")


def test_a_long_wait_is_announced_once(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        draw(tmp_path / "in" / f"{name}.png", 130, 140)
    monkeypatch.setattr("leukosr.superres.pace.pace_of", lambda *_: 0.0005)  # seconds per pixel: not long
    enhance(tmp_path / "in", tmp_path / "quick", weights)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("leukosr.superres.pace.pace_of", lambda *_: 0.01)
    enhance(tmp_path / "in", tmp_path / "slow", weights)
    assert capsys.readouterr().err == (
        f"{tmp_path / 'in' / 'a.png'}: enlarging 130x140 pixels takes about 3 min on this machine\n"
    )


def test_weights_without_ranges_say_so(weights: Path, tmp_path: Path) -> None:
    draw(tmp_path / "cell.png")
    (note,) = enhance(tmp_path / "cell.png", tmp_path / "big.png", weights).notes
    assert "no ranges stored" in note


def test_file_into_an_existing_folder_keeps_its_name(weights: Path, tmp_path: Path) -> None:
    draw(tmp_path / "cell.a.jpg")
    (tmp_path / "out").mkdir()
    enhance(tmp_path / "cell.a.jpg", tmp_path / "out", weights)
    assert read(tmp_path / "out" / "cell.a.png").shape == (20, 28, 3)


def test_folder_keeps_its_subfolders_and_mixed_sizes(generator: SRGANGenerator, weights: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    names = {"b.png": (9, 12), "deep/er/a.JPG": (16, 8), "deep/c.tiff": (9, 12)}
    images = {name: draw(source / name, *size, seed=len(name)) for name, size in names.items()}
    (source / "notes.txt").write_text("not an image")
    draw(source / "b.webp")
    (source / "._b.png").write_text("a resource fork")
    done = enhance(source, target, weights)
    assert (done.written, done.failed) == (3, [])
    assert [sentence.split(" is not an image file")[0] for sentence in done.left_out] == [
        str(source / name) for name in ("b.webp", "notes.txt")
    ]
    written = sorted(path.relative_to(target).as_posix() for path in target.rglob("*.*") if path.name != MARKER)
    assert written == ["b.png", "deep/c.png", "deep/er/a.png"]
    for name, image in images.items():
        assert_close(read((target / name).with_suffix(".png")), expected(generator, image))


def test_tiles_give_the_same_image(weights: Path, tmp_path: Path) -> None:
    draw(tmp_path / "cell.png", 40, 50)
    enhance(tmp_path / "cell.png", tmp_path / "whole.png", weights)
    enhance(tmp_path / "cell.png", tmp_path / "tiled.png", weights, tile=36, overlap=32)
    assert_close(read(tmp_path / "tiled.png"), read(tmp_path / "whole.png"))


@pytest.mark.parametrize("key", ["params_ema", "params", None])
def test_published_checkpoint_works_as_it_is(key: str | None, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = RRDBNet(scale=4, features=4, blocks=1, growth=2).eval()
    state = model.state_dict()
    torch.save(state if key is None else {key: state}, tmp_path / "published.pth")
    image = draw(tmp_path / "cell.png")
    enhance(tmp_path / "cell.png", tmp_path / "big.png", tmp_path / "published.pth")
    assert_close(read(tmp_path / "big.png"), expected(model, image))


def test_bf16_gives_nearly_the_same_image(weights: Path, tmp_path: Path) -> None:
    draw(tmp_path / "cell.png")
    enhance(tmp_path / "cell.png", tmp_path / "exact.png", weights)
    enhance(tmp_path / "cell.png", tmp_path / "rough.png", weights, precision="bf16")
    exact, rough = (read(tmp_path / name).astype(int) for name in ("exact.png", "rough.png"))
    assert np.abs(exact - rough).mean() < 4


def test_mistakes_are_refused_in_one_sentence_before_anything_is_written(weights: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "cell.png")
    image, folder, out = tmp_path / "in" / "cell.png", tmp_path / "in", tmp_path / "out"
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "text.safetensors").write_text("text")
    (tmp_path / "text.pth").write_text("text")
    (tmp_path / "empty").mkdir()
    mistakes: list[tuple[Path, Path, Path, dict[str, Any], str]] = [
        (tmp_path / "none.png", out, weights, {}, "none.png does not exist"),
        (tmp_path / "empty", out, weights, {}, "holds no images"),
        (folder, tmp_path / "file.txt", weights, {}, "file.txt is a file, but .* is a folder"),
        (image, tmp_path / "out.jpg", weights, {}, "results are written as PNG"),
        (image, image, weights, {}, "would replace its own input"),
        (image, folder, weights, {}, "would replace its own input"),
        (folder, folder, weights, {}, "holds the images themselves"),
        (folder, out, tmp_path / "none.safetensors", {}, "none.safetensors"),
        (folder, out, tmp_path / "text.safetensors", {}, "text.safetensors"),
        (folder, out, tmp_path / "text.pth", {}, "text.pth"),
        (folder, out, tmp_path / "file.txt", {}, "file.txt"),
        (folder, out, weights, {"precision": "fp16"}, "--precision is 'fp16'; allowed are auto, fp32, bf16"),
        (folder, out, weights, {"device_name": "tpu"}, "--device is 'tpu'"),
        (folder, out, weights, {"tile": 32, "overlap": 32}, "--overlap 32 must be smaller than --tile 32"),
        (folder, out, weights, {"tile": 2, "overlap": 0}, "--tile is 2: give 0, for whole images, or 4 or more"),
    ]
    for source, target, network, changes, message in mistakes:
        with pytest.raises(LeukoError, match=message):
            enhance(source, target, network, **changes)
        assert not out.exists()
    assert read(image).shape == (10, 14, 3)


def test_weights_of_an_unknown_network_are_refused(tmp_path: Path) -> None:
    draw(tmp_path / "cell.png")
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(LeukoError, match=r"other\.pth holds weights of no network known here"):
        enhance(tmp_path / "cell.png", tmp_path / "big.png", tmp_path / "other.pth")


def test_two_inputs_for_one_result_are_refused(weights: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        draw(tmp_path / "in" / name)
    with pytest.raises(LeukoError, match="differ only in their suffix"):
        enhance(tmp_path / "in", tmp_path / "out", weights)


def test_one_bad_image_is_named_and_does_not_stop_the_others(weights: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "d.png"):
        draw(source / name)
    (source / "b.png").write_bytes((source / "a.png").read_bytes()[:200])
    (source / "c.png").write_text("text")
    draw(source / "e.png", height=1)
    done = enhance(source, target, weights)
    assert done.written == 2
    assert [sentence.removeprefix(f"{source}/")[:20] for sentence in done.failed] == [
        "b.png is corrupt or ",
        "c.png is not a PNG: ",
        "e.png is 1x14; netwo",
    ]
    assert sorted(path.name for path in target.rglob("[!.]*")) == ["a.png", "d.png"]


def test_a_bad_image_alone_is_an_error(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_text("text")
    draw(tmp_path / "b.webp")
    for name, reason in (("b.png", "is not a PNG"), ("b.webp", "is not an image file; accepted are")):
        with pytest.raises(LeukoError, match=rf"{name} {reason}"):
            enhance(tmp_path / name, tmp_path / "out.png", weights)
    assert not (tmp_path / "out.png").exists()


def test_results_below_the_input_are_no_input(weights: Path, tmp_path: Path) -> None:
    for name in ("a.png", "deep/b.png"):
        draw(tmp_path / "in" / name)
    for _ in range(2):
        assert enhance(tmp_path / "in", tmp_path / "in" / "sr", weights).written == 2
    assert not (tmp_path / "in" / "sr" / "sr").exists()


def test_an_image_of_very_many_pixels_is_refused(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "cell.png", 40, 50)
    monkeypatch.setattr("leukosr.images.decoding.MAX_PIXELS", 40 * 50 - 1)
    with pytest.raises(LeukoError, match=r"cell\.png has 40x50 pixels, more than the 1999 that are read"):
        enhance(tmp_path / "cell.png", tmp_path / "big.png", weights)


def test_a_photograph_is_enlarged_upright(generator: SRGANGenerator, weights: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(draw(tmp_path / "cell.png")).save(tmp_path / "turned.png", exif=exif)
    enhance(tmp_path / "turned.png", tmp_path / "big.png", weights)
    assert_close(read(tmp_path / "big.png"), expected(generator, np.rot90(read(tmp_path / "cell.png"), -1).copy()))
