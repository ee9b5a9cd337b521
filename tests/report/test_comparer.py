"""Which cells a page offers to the eye, and that they never make it too large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.settings import Architecture
from leukosr.classify.weights import save_classifier
from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.report.comparer import comparer, galleries
from leukosr.report.page import COMPARER, LARGEST, write_report
from leukosr.report.results import StudyResults, load_results

from .conftest import ARMS, CLASSES, fabricate


@pytest.fixture
def results(params: Params, tmp_path: Path) -> StudyResults:
    return load_results(Layout("demo", fabricate(tmp_path / "outputs")), params, "paper")


def write_classifier(path: Path, backbone: str) -> None:
    architecture = Architecture(backbone=backbone)
    network = ClassifierNetwork(architecture, len(CLASSES))
    with torch.no_grad():  # with what follows a ReLU, so that Grad-CAM finds evidence for every class
        network.network.get_parameter(f"{network.head}.weight").abs_()
    save_classifier(path, network, architecture, list(CLASSES), None)


def enlarge(root: Path, side: int) -> None:
    """Noise in place of every image, which no format makes small."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    for path in root.rglob("arms/**/*.png"):
        Image.fromarray(noise).save(path)


def test_every_test_image_is_offered_in_every_arm_with_what_is_known_of_it(
    params: Params, results: StudyResults
) -> None:
    found = comparer(params, results, COMPARER)
    assert found is not None and found.classified
    assert [each["name"] for each in found.data["arms"]] == list(ARMS)
    assert {cell["label"] for cell in found.data["cells"]} == {"eosinophil – 2", "neutrophil – 2"}
    shot = found.data["cells"][0]["shots"]["srgan"]
    assert shot["src"].startswith("data:image/png;base64,"), "a small image is kept without loss"
    assert shot["facts"].startswith(f"named {shot['said']}, ") and " dB, right " in shot["facts"]


def test_cells_end_where_the_room_does_and_one_that_does_not_fit_is_left_out(
    params: Params, results: StudyResults
) -> None:
    everything = comparer(params, results, COMPARER)
    assert everything is not None
    size = sum(len(shot["src"]) for shot in everything.data["cells"][0]["shots"].values())
    one = comparer(params, results, size)
    assert one is not None and len(one.data["cells"]) == 1 and one.words.startswith("1 test image")
    assert "disagree" not in one.words, "no cell is shown for that"
    assert comparer(params, results, size - 1) is None


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_page_of_large_images_stays_below_its_limit(params: Params, results: StudyResults, tmp_path: Path) -> None:
    enlarge(tmp_path / "outputs", 700)
    page = write_report(tmp_path / "reports", params, results, {})
    assert page.stat().st_size < LARGEST


def test_mistakes_of_every_experiment_are_shown_as_it_saw_them(params: Params, results: StudyResults) -> None:
    found = galleries(params, results)
    assert [each.label for each in found] == [each.look.label for each in results.experiments.values()]
    cell = found[0].cells[0]
    assert cell.image == "TEST/neutrophil/2" and "neutrophil, named eosinophil with 50" in cell.caption
    assert "of 2 runs" in cell.caption and cell.uri.startswith("data:image/png")
    assert cell.attention is None and found[0].no_map.startswith("there is no seed-1.safetensors of raw: ")


def test_mistakes_have_grad_cam_of_the_wrong_name_over_them(params: Params, results: StudyResults) -> None:
    weights = results.layout.classify("ground_truth", "paper") / "weights" / "seed-1.safetensors"
    write_classifier(weights, "resnet18")
    *others, last = galleries(params, results)
    assert last.label == "ground truth" and not last.no_map and all(each.no_map for each in others)
    assert all(cell.attention not in (None, cell.uri) for cell in last.cells)
    assert last.size > sum(len(cell.uri) for cell in last.cells)
    write_classifier(weights, "timm/vit_tiny_patch16_224")
    assert "no feature map" in galleries(params, results)[-1].no_map
