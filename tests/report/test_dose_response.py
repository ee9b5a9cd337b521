"""`leukosr dose-response`: where SR begins to pay, from the published predictions of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.axes import Axes

from leukosr.errors import LeukoError
from leukosr.report.dose_response import ONE_NETWORK, write_dose_response
from leukosr.tables import read_own_table

IMAGES, SEEDS, CLASSES = 400, range(1, 9), ("a", "b")


def result(folder: Path, scale: int, hits: dict[str, float], noise: float = 25.0, **changes: Any) -> Path:
    """A published study whose experiments are right so often."""
    path = folder / f"x{scale}-n{noise:g}"
    (path / "plots/confusion").mkdir(parents=True)
    true = np.tile(CLASSES, IMAGES // 2)
    luck = np.random.default_rng(0).random((len(SEEDS), IMAGES))  # shared: an image is as hard for every arm
    for name, share in hits.items():
        rows = [
            (f"i{image}", f"s{image}", seed, true[image], CLASSES[(image % 2) ^ int(luck[at, image] >= share)])
            for at, seed in enumerate(SEEDS)
            for image in range(IMAGES)
        ]  # fmt: skip
        table = pd.DataFrame(rows, columns=["image", "source", "seed", "true", "predicted"])
        table.to_csv(path / f"plots/confusion/{name}.csv", index=False)
    params = {
        "study": {"title": "T", "protocol": "official", "primary": "macro_f1", "margin": 0.02, "seeds": [1],
                  "sr_seeds": [1, 2, 3]},
        "budget": {"name": "answer"},
        "report": {},
        "prepare": {"root": "datasets/pbc"},
        "image": {"height": 256, "width": 256, "scale": scale},
        "degrade": {"method": "capstone", "noise_sigma": noise},
        "classify": {name: {"train": [name], "test": name, "classifier": {"backbone": "lite0"}} for name in hits},
        "upscale": {"sr": {"by": "training", "training": "srgan", "scale": scale}},
        "train_sr": {"srgan": {"stages": [{"iterations": 100}]}},
    } | changes  # fmt: skip
    (path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return path


def test_the_largest_resolution_at_which_sr_pays_is_named(tmp_path: Path) -> None:
    results = [
        result(tmp_path, 2, {"bicubic": 0.9, "sr": 0.9, "ground_truth": 0.95}),
        result(tmp_path, 4, {"bicubic": 0.7, "sr": 0.85, "ground_truth": 0.95}),
        result(tmp_path, 8, {"bicubic": 0.6, "sr": 0.8, "ground_truth": 0.95}),
    ]
    page, sentences = write_dose_response(tmp_path, results)
    assert sentences == [
        "Noise 25: sr begins to pay at LR 64×64: it is better than bicubic by more than the margin of 2 points there, "
        "and at 32×32."
    ]
    assert sentences[0] in page.read_text(encoding="utf-8")
    table = read_own_table(tmp_path / "dose_response.csv")
    assert [*zip(table["lr_height"], table["experiment"], strict=True)] == [
        (side, name) for side in ("32", "64", "128") for name in ("sr", "ground_truth")
    ]
    at_64 = table[(table["lr_height"] == "64") & (table["experiment"] == "sr")].iloc[0]
    assert float(at_64["difference"]) == pytest.approx(0.15, abs=0.03)
    assert float(at_64["score"]) - float(at_64["baseline_score"]) == pytest.approx(float(at_64["difference"]))


def test_the_figure_shows_the_scores_and_intervals_of_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[list[float]] = []
    ends: list[tuple[float, float]] = []
    plot, vlines = Axes.plot, Axes.vlines

    def spy_plot(panel: Axes, *args: Any, **kwargs: Any) -> Any:
        lines.append(list(args[1]))
        return plot(panel, *args, **kwargs)

    def spy_vlines(panel: Axes, x: float, low: float, high: float, **kwargs: Any) -> Any:
        ends.append((low, high))
        return vlines(panel, x, low, high, **kwargs)

    monkeypatch.setattr(Axes, "plot", spy_plot)
    monkeypatch.setattr(Axes, "vlines", spy_vlines)
    hits = {"bicubic": 0.7, "sr": 0.85, "ground_truth": 0.95}
    write_dose_response(tmp_path, [result(tmp_path, scale, hits) for scale in (2, 4)])
    table = read_own_table(tmp_path / "dose_response.csv")
    shown = {name: 100 * table[name].astype(float) for name in ("score", "baseline_score", "ci_low", "ci_high")}
    sr = table["experiment"] == "sr"
    assert sorted(lines[0]) == pytest.approx(sorted(shown["baseline_score"][sr]))
    assert any(sorted(each) == pytest.approx(sorted(shown["score"][sr])) for each in lines[1:])
    for name, own in zip(("ci_low", "ci_high"), zip(*ends, strict=True), strict=True):
        assert sorted(own) == pytest.approx(sorted(shown[name]))


def test_the_page_can_be_made_again_from_what_it_keeps(tmp_path: Path) -> None:
    hits = {"bicubic": 0.7, "sr": 0.85, "ground_truth": 0.95}
    out, results = tmp_path / "out", [result(tmp_path, scale, hits) for scale in (2, 4)]
    for path in (path for each in results for path in each.glob("plots/confusion/*.csv")):  # a class that no image has
        pd.read_csv(path).assign(p_a=0.5, p_b=0.5, p_c=0.0).to_csv(path, index=False)
    (results[0] / "about.json").write_text("{}")
    page, sentences = write_dose_response(out, results)
    before = {name: (out / name).read_bytes() for name in ("index.html", "dose_response.csv")}
    kept = sorted((out / "doses").iterdir())
    assert [each.name for each in kept] == ["x2-n25", "x4-n25"]
    assert write_dose_response(out, kept) == (page, sentences)
    assert {name: (out / name).read_bytes() for name in before} == before
    assert sorted((out / "doses").iterdir()) == kept
    assert [(each / "about.json").is_file() for each in kept] == [True, False]


def test_results_of_several_protocols_are_refused(tmp_path: Path) -> None:
    """Their predictions have the protocol in their names."""
    hits = {"bicubic": 0.9, "ground_truth": 0.95}
    results = [result(tmp_path, scale, hits) for scale in (2, 4)]
    params = yaml.safe_load((results[1] / "params.yaml").read_text())
    params["study"]["protocol"] = "both"
    (results[1] / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(
        LeukoError, match=r"x4-n25 is of several protocols \(paper, source_disjoint\): name results of one"
    ):
        write_dose_response(tmp_path / "out", results)


def test_one_network_at_each_dose_is_said_to_be_one(tmp_path: Path) -> None:
    hits, study = {"bicubic": 0.9, "ground_truth": 0.95}, {"title": "T", "protocol": "official", "primary": "macro_f1"}
    one = study | {"margin": 0.02, "seeds": [1], "sr_seeds": None}
    page, sentences = write_dose_response(tmp_path, [result(tmp_path, scale, hits, study=one) for scale in (2, 4)])
    assert sentences[-1] == ONE_NETWORK and "answer budget" in page.read_text(encoding="utf-8")


def test_two_results_of_one_name_are_refused(tmp_path: Path) -> None:
    hits = {"bicubic": 0.9, "ground_truth": 0.95}
    first, second = result(tmp_path, 2, hits), result(tmp_path / "two", 4, hits)
    with pytest.raises(LeukoError, match="two of the results have one name"):
        write_dose_response(tmp_path / "out", [first, second.rename(second.with_name(first.name))])


def test_where_no_gain_is_shown_the_page_says_so_at_each_noise_level(tmp_path: Path) -> None:
    same = {"bicubic": 0.9, "sr": 0.9, "ground_truth": 0.95}
    results = [result(tmp_path, scale, same, noise) for scale in (2, 4) for noise in (0.0, 10.0)]
    _, sentences = write_dose_response(tmp_path, results)
    assert sentences == [
        f"Noise {noise}: sr was not shown to be better than bicubic at any resolution; a gain of the margin of 2 "
        "points is excluded at LR 128×128, 64×64."
        for noise in (0, 10)
    ]


def test_an_experiment_with_another_classifier_than_the_baseline_is_left_out_and_named(tmp_path: Path) -> None:
    hits = {"bicubic": 0.9, "sr": 0.9, "ground_truth": 0.95, "sr_probe": 0.5}
    results = [
        result(
            tmp_path,
            scale,
            hits,
            classify={
                name: {"train": [name], "test": name, "classifier": "probe" if name == "sr_probe" else "lite0"}
                for name in hits
            },
        )
        for scale in (2, 4)
    ]
    _, sentences = write_dose_response(tmp_path, results)
    assert sentences[-1] == "Left out, as their classifier is not that of bicubic: sr_probe."
    assert "sr_probe" not in set(read_own_table(tmp_path / "dose_response.csv")["experiment"])


def test_a_worse_network_does_not_pay(tmp_path: Path) -> None:
    results = [result(tmp_path, scale, {"bicubic": 0.9, "sr": 0.7, "ground_truth": 0.95}) for scale in (2, 4)]
    assert write_dose_response(tmp_path, results)[1] == [
        "Noise 25: sr was not shown to be better than bicubic at any resolution; it is clearly worse at LR 128×128, "
        "64×64."
    ]


def test_a_network_may_pay_at_one_resolution_and_harm_at_another(tmp_path: Path) -> None:
    results = [
        result(tmp_path, scale, {"bicubic": 0.8, "sr": hits, "ground_truth": 0.95})
        for scale, hits in ((2, 0.9), (8, 0.6))
    ]
    assert write_dose_response(tmp_path, results)[1][0].endswith("; it is clearly worse at LR 32×32.")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"scale": 2}, "name two results or more of different doses"),
        ({"scale": 4, "prepare": {"root": "data"}}, "differ in prepare, not in the dose alone"),
        ({"scale": 4, "budget": {"name": "smoke"}}, r"differ in budget\.name, not in the dose alone"),
        ({"scale": 4, "study": {"title": "T", "protocol": "official"}}, r"has no study\.primary"),
        (
            {"scale": 4, "train_sr": {"srgan": {"stages": [{"iterations": 7}]}}},
            r"differ in train_sr\.srgan\.stages\.0\.iterations, not in the dose alone",
        ),
        ({"scale": 4, "degrade": {"method": "bicubic"}}, "whose noise has no single level"),
        ({"scale": 4, "image": {"height": 256, "width": 256}}, r"has no image\.scale"),
        ({"scale": 4, "study": None}, r"params\.yaml lacks study, so it is incomplete"),
        (
            {"scale": 4, "study": {"title": "T", "protocol": "official", "primary": "f1", "margin": 0.02, "seeds": [1],
                                   "sr_seeds": None}},
            r"study\.primary = 'f1', expected accuracy or macro_f1",
        ),
        ({"scale": 4, "classify": {"bicubic": {"classifier": {"backbone": "lite0"}}}}, "has no experiment ground"),
        (
            {"scale": 4, "classify": {"bicubic": {"classifier": "lite0"}, "ground_truth": {"classifier": "vgg"}}},
            "ground_truth and bicubic have different classifiers",
        ),
    ],
)  # fmt: skip
def test_results_that_do_not_belong_together_are_refused(tmp_path: Path, second: Any, message: str) -> None:
    hits = {"bicubic": 0.9, "sr": 0.9, "ground_truth": 0.95}
    first = result(tmp_path / "one", 2, hits)
    with pytest.raises(LeukoError, match=message):
        write_dose_response(tmp_path, [first, result(tmp_path / "two", hits=hits, **second)])


def test_a_folder_that_was_not_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"holds no params\.yaml and plots/confusion"):
        write_dose_response(tmp_path, [tmp_path, tmp_path])
