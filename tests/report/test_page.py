"""The page needs nothing beside it, says its budget at every figure and is the same every time."""

import base64
import csv
import hashlib
import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from leukosr.config import Params, parse_params
from leukosr.layout import Layout
from leukosr.report.page import write_report
from leukosr.report.results import load_results
from leukosr.report.style import budget_note

from .conftest import ARMS, fabricate


@pytest.fixture(scope="module")
def page(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one fabricated study; tests leave it as it is."""
    root = tmp_path_factory.mktemp("study")
    results = load_results(Layout("demo", fabricate(root / "outputs")), params, "paper")
    return write_report(root / "reports", params, results, {"torch": "0"})


def test_the_page_is_self_contained(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"""(?:src|href)=["']([^"']{1,40})""", text)
    assert len(targets) > 15
    assert all(target.startswith(("data:image/", "#")) for target in targets)
    assert "url(" not in text and "@import" not in text
    ran = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    allowed = re.search(r"default-src 'none'; [^\"]*script-src 'sha256-([^']*)'\"", html.unescape(text))
    assert allowed and [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in ran] == [
        allowed[1]
    ]
    assert not re.search(
        r"\bNaN\b|\bnan\b|\bNone\b|\binf\b",
        re.sub(r"data:image/[^\"]+|<pre>.*?</pre>|<script>.*?</script>", "", text, flags=re.S),
    )


def test_every_figure_on_the_page_says_its_budget(page: Path, params: Params) -> None:
    # the pictures themselves say it too
    alternatives = re.findall(r'<img [^>]*alt="(.*?)"', page.read_text(encoding="utf-8"), flags=re.S)
    # accuracy, quality, grid, classes, reliability; confusion and curves an arm; curves and samples a method; each pair
    # that is compared, and originals against bicubic; a mistake an arm; the two images that the script fills in
    assert len(alternatives) == 5 + 2 * len(ARMS) + 2 * 2 + (2 * 2 + 1) + len(ARMS) + 2
    assert all(budget_note(params.budget) in text for text in alternatives if text)
    assert alternatives.count("") == 2


def test_the_page_shows_the_results_the_rejected_images_and_the_command(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "62.5 ± 12.5" in text
    assert "TEST/eosinophil/bad.jpg" in text and "cannot be decoded" in text
    assert "dvc exp run -S study=demo -S budget=smoke" in text
    assert re.search(r'<th scope="row">ground truth</th>(<td class="n">[^<]*</td>){3}<td class="n">–</td>', text)
    assert "Test images share their source cells with training images." in text, "the caveat of the study"


@pytest.mark.usefixtures("undrawn")
def test_of_many_rejected_images_the_page_names_the_first(
    outputs: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    many = pd.DataFrame({"path": [f"bad-{i}.jpg" for i in range(5)], "reason": "is empty"})
    monkeypatch.setattr("leukosr.report.page.LISTED", 3)
    text = write_report(tmp_path, params, replace(results, rejected=many), {}).read_text(encoding="utf-8")
    assert "5 images were left out" in text and "The images left out (5)" in text
    assert "bad-2.jpg" in text and "bad-3.jpg" not in text
    assert f"The first 3; <code>{results.layout.rejected}</code> lists all." in text


def test_files_beside_the_page_hold_the_same_values(page: Path) -> None:
    with (page.parent / "comparison.csv").open(encoding="utf-8") as file:
        rows = {row["experiment"]: row for row in csv.DictReader(file)}
    assert (rows["srgan"]["accuracy_percent"], rows["ground_truth"]["psnr"]) == ("62.5", "")
    assert [row["arm"] for row in rows.values()] == list(rows)  # each experiment tests the arm of its name
    assert json.loads((page.parent / "summary.json").read_text())["srgan"]["macro_f1"] == 0.5725
    names = {path.name for path in (page.parent / "figures").iterdir()}
    assert {"accuracy.png", "grid.png", "confusion_raw.png", "sr_srgan.png", "samples_srgan.png"} <= names


@pytest.mark.usefixtures("undrawn")
def test_published_columns_are_labelled_as_not_comparable(
    outputs: Path, compose_params: Callable[..., Params], page: Path, tmp_path: Path
) -> None:
    assert "published, other" not in page.read_text(encoding="utf-8")
    params = compose_params("study=demo", "study.published=case1", "report.grid_cells=1")
    results = load_results(Layout("demo", outputs), params, "paper")
    text = write_report(tmp_path / "beside", params, results, {}).read_text(encoding="utf-8")
    assert "published, other sizes and budget" in text
    assert "Ko &amp; Kim" in text and "97.19" in text


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_stale(
    page: Path, outputs: Path, params: Params, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    folder.mkdir()
    (folder / "stale.png").write_bytes(b"")
    write_report(folder, params, load_results(Layout("demo", outputs), params, "paper"), {"torch": "0"})
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (page.parent, folder)
    )
    assert first == second


def test_arms_are_compared_and_what_their_runs_cannot_show_is_said(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"<td>inconclusive</td>", text)) == 8  # two SR methods, two plain arms, two metrics
    assert text.count("Inconclusive whatever the figures: ") == 4
    assert text.count("(2 runs: no interval)</td>") == 8 and "(–)" not in text
    assert "Below each" not in text or "first. Below each" in " ".join(text.split())
    assert "so a verdict on SR is about this network, not about its method" in text
    folded = text.index("<details><summary>p values that hold for these sources or these runs alone")
    assert text.index("p over runs") > folded  # audit, row 8: never beside the verdict


def test_the_share_of_test_images_with_siblings_in_training_stands_beside_the_accuracy(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "0 of 2 test images (0 %) share a micrograph with the classifiers&#39; training images." in text
    assert "0 of 2 test images (0 %) share a micrograph with SR training images." in text


@pytest.mark.usefixtures("undrawn")
def test_a_page_warns_of_mixed_precisions_and_of_damaged_weights(page: Path, params: Params, tmp_path: Path) -> None:
    sound = page.read_text(encoding="utf-8")
    assert "All networks computed in fp32." in sound
    assert '<p class="warning">' not in sound and sound.count("No Grad-CAM here: there is no seed-1") == len(ARMS)
    outputs = fabricate(tmp_path / "outputs")
    for file in outputs.rglob("raw/**/metrics.json"):
        file.write_text(file.read_text().replace('"fp32"', '"bf16"'))
    weights = Layout("demo", outputs).classify("ground_truth", "paper") / "weights" / "seed-1.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"cut")
    mixed = write_report(tmp_path / "report", params, load_results(Layout("demo", outputs), params, "paper"), {})
    text = " ".join(mixed.read_text(encoding="utf-8").split())
    assert "Networks computed in bf16 (classify@raw) and in fp32 (" in text
    assert "differences between these include rounding" in text
    (warning,) = re.findall(r'<p class="warning">(.*?)</p>', text)
    assert warning.startswith("<strong>Damaged weights, so no Grad-CAM of ground truth:</strong> ")
    assert f"{weights} cannot be read" in warning
    assert warning.endswith("(`dvc repro --force --single-item classify@ground_truth` makes it).")
    assert text.index(warning) < text.index("<details", text.index("Confident mistakes")), "not folded away"
    assert text.count("No Grad-CAM here: there is no seed-1") == len(ARMS) - 1


@pytest.mark.usefixtures("undrawn")
def test_both_protocols_stand_side_by_side(compose_params: Callable[..., Params], tmp_path: Path) -> None:
    params = compose_params("study=demo", "budget=smoke", "report.grid_cells=2", "study.protocol=both")
    layout = Layout("demo", fabricate(tmp_path / "outputs"))
    first, second = (load_results(layout, params, protocol) for protocol in ("paper", "source_disjoint"))
    page = write_report(tmp_path / "reports", params, first, {"torch": "0"}, [second])
    text = page.read_text(encoding="utf-8")
    assert "Protocol paper: " in text and "Protocol source_disjoint: " in text
    assert text.count("62.5 ± 12.5") == 2 * len(ARMS)
    assert "Scores under both protocols" in text and (page.parent / "figures" / "split_effect.png").is_file()
    assert (page.parent / "figures" / "accuracy_source_disjoint.png").is_file()
    summary = json.loads((page.parent / "summary.json").read_text())
    assert summary["source_disjoint"]["srgan"]["macro_f1"] == summary["paper"]["srgan"]["macro_f1"] == 0.5725
    with (page.parent / "comparison.csv").open(encoding="utf-8") as file:
        assert [row["protocol"] for row in csv.DictReader(file)] == 5 * ["paper"] + 5 * ["source_disjoint"]


@pytest.mark.usefixtures("undrawn")
def test_without_an_experiment_under_both_protocols_there_is_no_effect_of_the_split(
    compose_raw: Callable[..., Any], tmp_path: Path
) -> None:
    raw = compose_raw("study=demo", "budget=smoke", "report.grid_cells=2", "study.protocol=both")
    for place, experiment in enumerate(raw["classify"].values()):
        experiment["protocols"] = [("paper", "source_disjoint")[place % 2]]
    params, layout = parse_params(raw, "params.yaml"), Layout("demo", fabricate(tmp_path / "outputs"))
    first, second = (load_results(layout, params, protocol) for protocol in params.study.protocols)
    page = write_report(tmp_path / "reports", params, first, {"torch": "0"}, [second])
    assert "Scores under both protocols" not in page.read_text(encoding="utf-8")
    assert not (page.parent / "figures" / "split_effect.png").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_network_that_gives_its_input_back_is_named_beside_the_scores(params: Params, tmp_path: Path) -> None:
    outputs = fabricate(tmp_path / "outputs")
    facts = outputs / "demo/quality/srgan/metrics.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "did_not_train": True}))
    page = write_report(tmp_path / "reports", params, load_results(Layout("demo", outputs), params, "paper"), {})
    results = page.read_text(encoding="utf-8").split('id="evidence"')[0]
    assert "Did not train: SRGAN, within 0.01 dB of what went in" in results
