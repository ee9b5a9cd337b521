"""`leukosr forest`: the declared comparisons of published studies in one figure."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree
from typing import Any

import pandas as pd
import pytest
import yaml
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from leukosr.errors import LeukoError
from leukosr.report.comparisons import difference_text
from leukosr.report.forest import _heading, write_forest
from leukosr.report.snapshot import Snapshot
from leukosr.tables import read_own_table

RESULTS = Path(__file__).parents[2] / "results"
PROBE, UNTRAINED = RESULTS / "pbc-answer-probe", RESULTS / "pbc-answer-published"


def copied(folder: Path, original: Path = UNTRAINED) -> Path:
    """A published result that a test may change."""
    return copytree(original, folder / original.name, ignore=lambda _, names: {"figures"} & {*names})


def changed(result: Path, **claims: object) -> Path:
    """The result with other claims in its params.yaml."""
    params = yaml.safe_load((result / "params.yaml").read_text())
    params["claims"] = params["claims"] | claims
    (result / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return result


def test_every_claim_has_the_verdict_of_its_page(tmp_path: Path) -> None:
    findings = write_forest(tmp_path, [PROBE, UNTRAINED])
    assert [each.found.verdict for each in findings] == [
        "no gain", "clearly better", "inconclusive", "equivalent", "clearly better"
    ]  # fmt: skip
    for each in findings:
        page = (RESULTS / each.result / "index.html").read_text(encoding="utf-8")
        cells = (each.found.verdict, "macro F1 (primary)", difference_text(each.found))
        row = "".join(rf"<td[^>]*>{re.escape(cell)}</td>" for cell in cells)
        assert re.search(f'<th scope="row">{re.escape(each.what)}</th>{row}', page)
    table = read_own_table(tmp_path / "forest.csv")
    assert table["result"].tolist() == ["pbc-answer-probe"] * 3 + ["pbc-answer-published"] * 2
    assert [float(each) for each in table["difference"]] == [each.found.difference for each in findings]
    assert (tmp_path / "forest.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("result", "heading"),
    [
        ("pbc-answer-mild", "pbc-answer-mild: ×2, noise 10, linear probe"),
        ("pbc-answer-second-order", "pbc-answer-second-order: ×4, second order, linear probe"),
        ("pbc-answer-tuned", "pbc-answer-tuned: ×4, noise 25, fine-tuned classifier"),
    ],
)
def test_a_heading_says_what_was_done_to_the_images_and_what_classifies_them(result: str, heading: str) -> None:
    assert _heading(Snapshot(RESULTS / result)) == heading


def test_the_lines_of_the_figure_are_the_intervals_of_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[float, float]] = []

    def save(figure: Figure, path: Path, **options: Any) -> None:
        for lines in figure.axes[0].collections:
            assert isinstance(lines, LineCollection)
            drawn.extend((float(start[0]), float(end[0])) for start, end in lines.get_segments())
        Image.new("RGB", (1, 1)).save(path, format="png")

    monkeypatch.setattr(Figure, "savefig", save)
    found = [each.found for each in write_forest(tmp_path, [UNTRAINED])]
    assert drawn == [(100 * (each.ci_low or 0), 100 * (each.ci_high or 0)) for each in found]


def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_forest(tmp_path / name, [UNTRAINED])
    for name in ("forest.csv", "forest.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_results_that_cannot_stand_in_one_figure_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match="declares no claims: name a folder"):
        write_forest(tmp_path, [RESULTS / "case1-leakage"])
    with pytest.raises(LeukoError, match="two of the results have one name"):
        write_forest(tmp_path, [UNTRAINED, copied(tmp_path)])
    probe = copied(tmp_path, PROBE)
    for table in (tmp_path / UNTRAINED.name / "plots/confusion").glob("*.claims.json"):
        table.unlink()
    with pytest.raises(LeukoError, match="different metrics or margins"):
        write_forest(tmp_path, [probe, changed(tmp_path / UNTRAINED.name, margin=0.05)])
    assert not list(tmp_path.glob("forest.*"))


@pytest.mark.parametrize("change", [{"margin": 0.05}, {"seeds": [1, 2]}, {"family": "the first alone"}])
def test_claims_that_were_changed_after_the_run_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    result = copied(tmp_path)
    if "family" in change:
        declared = yaml.safe_load((result / "params.yaml").read_text())["claims"]["family"]
        change = {"family": declared[:1]}
    with pytest.raises(LeukoError, match="the claims beside its predictions are not those"):
        write_forest(tmp_path, [changed(result, **change)])


def test_claims_that_are_none_are_named_with_their_file(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"params\.yaml, section claims: family.* at least 1 item.*: restore it"):
        write_forest(tmp_path, [changed(copied(tmp_path), family=[])])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "params.yaml",
            b"",
            r"params\.yaml lacks study, degrade, image, classify, report, budget, so it is incomplete",
        ),
        (
            "params.yaml",
            b"study: {}\ndegrade:\nclaims: {}\n",
            r"params\.yaml lacks degrade, image, classify, report, budget",
        ),
        ("index.html", b"\x80\xff", r"index\.html is not UTF-8 text"),
        ("index.html", b"", r"index\.html shows 0 experiments, summary\.json has 4"),
        ("summary.json", b'{"raw": ', r"summary\.json is not valid JSON"),
        ("summary.json", b"[]", r"summary\.json is not a JSON object"),
        ("summary.json", b'{"official_sr_apart": []}', r"summary\.json names no experiments under offi"),
    ],
)
def test_a_damaged_result_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    result = copied(tmp_path)
    (result / name).write_bytes(content)
    with pytest.raises(LeukoError, match=f"{said}.*: restore it from version control, or publish the study again"):
        write_forest(tmp_path, [result])
    assert not list(tmp_path.glob("forest.*"))


def test_a_result_without_a_budget_leaves_nothing_half_written(tmp_path: Path) -> None:
    result = copied(tmp_path)
    params = yaml.safe_load((result / "params.yaml").read_text())
    del params["budget"]["name"], params["budget"]["note"]
    (result / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with pytest.raises(LeukoError, match=r"params\.yaml lacks budget\.name, so it is incomplete"):
        write_forest(tmp_path / "out", [result])
    assert not (tmp_path / "out").exists() or not [*(tmp_path / "out").iterdir()]


def test_fewer_runs_than_were_declared_are_refused(tmp_path: Path) -> None:
    table = copied(tmp_path) / "plots/confusion/realesrgan_x4plus.csv"
    kept = pd.read_csv(table)
    kept[kept["seed"] < 5].to_csv(table, index=False)
    with pytest.raises(
        LeukoError, match=r"realesrgan_x4plus\.csv is not the table that was published: its n_runs is 4, .* 6: restore"
    ):
        write_forest(tmp_path, [table.parents[2]])


def test_a_run_that_lacks_images_is_refused(tmp_path: Path) -> None:
    table = copied(tmp_path) / "plots/confusion/bicubic.csv"
    table.write_text(table.read_text().rstrip("\n").rpartition("\n")[0] + "\n")
    with pytest.raises(
        LeukoError, match=r"bicubic\.csv is not the table that was published: its accuracy is .*: restore it"
    ):
        write_forest(tmp_path, [table.parents[2]])


def test_a_result_that_lacks_what_it_claims_is_refused(tmp_path: Path) -> None:
    result = copied(tmp_path)
    (result / "plots/confusion/bicubic.claims.json").unlink()
    with pytest.raises(
        LeukoError, match=r"bicubic\.claims\.json is not there: restore it from version control, or publish"
    ):
        write_forest(tmp_path, [result])
    (result / "plots/confusion/bicubic.csv").unlink()
    with pytest.raises(LeukoError, match=r"bicubic\.csv is not there: restore it from version control"):
        write_forest(tmp_path, [result])
