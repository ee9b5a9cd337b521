"""Published pages say what today's rules say, and a page that says otherwise is put right."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from leukosr.data.splits import shown_name
from leukosr.errors import LeukoError
from leukosr.report.rejudge import _with_split_effects, judge_again
from leukosr.report.snapshot import Snapshot, with_verdicts

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOTS = with_verdicts(ROOT / "results")
MANY = 4_000_000  # bytes of predictions, which take seconds to judge


def is_slow(snapshot: Path) -> bool:
    return sum(file.stat().st_size for file in snapshot.glob("plots/confusion/*.csv")) > MANY


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    return tmp_path / "copy"


@pytest.mark.parametrize(
    "snapshot",
    [pytest.param(each, id=each.name, marks=[pytest.mark.slow] if is_slow(each) else []) for each in SNAPSHOTS],
)
def test_a_published_page_says_what_its_predictions_say_today(snapshot: Path, copy: Path) -> None:
    shutil.copytree(snapshot, copy)
    assert judge_again(copy, date(2030, 1, 1)) == []
    page, published = ((each / "index.html").read_text(encoding="utf-8") for each in (copy, snapshot))
    trials = re.search(r"<p>(\d+) trials of", page)
    assert not (trials and int(trials[1]) < 6 and "How often two runs" in page)
    if not (snapshot / "figures" / "split_effect.png").is_file():  # drawings of text differ in a pixel between machines
        assert page == published


def test_a_study_that_compares_nothing_is_not_judged() -> None:
    classified = {path.parents[2].name for path in (ROOT / "results").glob("*/plots/confusion/*.csv")}
    assert classified - {each.name for each in SNAPSHOTS} == {
        "case1-counted",
        "pbc-answer",
        "pbc-answer-colour-tuned",
        "pbc-answer-norms-srgan",
        "pbc-answer-tuned-arms",
        "pbc-answer-second-order-equal-data",
        "pbc-answer-tuned-equal-data",
        "pbc-answer-tuned-networks",
    }


def test_a_page_of_a_protocol_that_leaks_is_judged_by_the_name_that_it_shows(copy: Path) -> None:
    shutil.copytree(ROOT / "results" / "demo-smoke", copy)
    page = (copy / "index.html").read_text(encoding="utf-8")
    page = page.replace(
        'Comparison of the experiments, paper"', f'Comparison of the experiments, {shown_name("as_counted")}"'
    )
    page = page.replace('Differences between experiments, paper"', 'Differences between experiments, as_counted"')
    (copy / "index.html").write_text(page, encoding="utf-8")
    assert Snapshot(copy).labels("as_counted") == Snapshot(ROOT / "results" / "demo-smoke").labels("paper")
    assert judge_again(copy, date(2030, 1, 1)) == []


def test_what_the_split_alone_does_is_still_said_to_leak_when_it_is_judged_again(copy: Path) -> None:
    shutil.copytree(ROOT / "results" / "case1-counted", copy)
    page = (copy / "index.html").read_text(encoding="utf-8")
    tables = [f'<i aria-label="Differences between experiments, {name}">' for name in ("as_counted", "source_disjoint")]
    (copy / "index.html").write_text(page + "".join(tables), encoding="utf-8")  # that study compares no two arms
    again, heads = Snapshot(copy), re.compile(r'aria-label="Scores under both protocols".*?</thead>', re.DOTALL)
    assert heads.findall(_with_split_effects(again, again.page)) == heads.findall(page) != []


def test_a_page_with_declared_claims_is_judged_within_its_family(copy: Path) -> None:
    shutil.copytree(ROOT / "results" / "pbc-answer-mild", copy)
    page = copy / "index.html"
    old = page.read_text(encoding="utf-8").replace("<p>Could", "<p>It gained -0.5 (-0.0 … +1.2) points.</p><p>Could")
    old = old.replace("<td>inconclusive</td>", "<td>better</td>", 1)
    page.write_text(old.replace('<p class="badge">', '<p class="badge">a budget: '), encoding="utf-8")
    assert [each.partition(": ")[2] for each in judge_again(copy, date(2030, 1, 1))] == [
        "Real-ESRNet – bicubic, macro F1: better -> inconclusive"
    ]
    text = page.read_text(encoding="utf-8")
    assert text.count("were declared before the first run, as one family") == 1
    assert "no claims" not in text and "Judged again on 20" in text
    rows = re.findall(r"<tr>.*?</tr>", text, flags=re.DOTALL)
    judged = [row for row in rows if re.search(r"</th><td>[^<]+</td><td>(accuracy|macro F1)( \(primary\))?</td>", row)]
    assert judged and all(("(exploratory)</td>" in row) != ("(primary)" in row) for row in judged)
    assert '<p class="badge">answer_probe: CPU budget: SR networks' in text
    shown = re.sub(r"<(style|script|pre)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    assert not re.search(r"[\s(]-\d", shown) and not re.search(r"[-+−]0\.0+\b(?!\d)", shown)
    about = (copy / "about.json").read_bytes()
    (copy / "about.json").write_text("{}")
    with pytest.raises(LeukoError, match=r"about\.json lacks budget or budget_note: restore it"):
        judge_again(copy, date(2030, 1, 1))
    (copy / "about.json").write_bytes(about)
    (copy / "plots" / "confusion" / "bicubic.claims.json").unlink()
    with pytest.raises(LeukoError, match=r"bicubic\.claims\.json is not there: restore it from version control"):
        judge_again(copy, date(2030, 1, 1))


def test_a_page_that_says_otherwise_is_put_right_and_tells_what_it_said(copy: Path) -> None:
    shutil.copytree(ROOT / "results" / "pbc-leakage", copy)
    page = (copy / "index.html").read_text(encoding="utf-8")
    (copy / "index.html").write_text(page.replace("<td>no gain</td>", "<td>clearly better</td>"), encoding="utf-8")
    changed = judge_again(copy, date(2030, 1, 1))
    assert "copy, source_disjoint: Real-ESRGAN – bicubic, macro F1: clearly better -> no gain" in changed
    again = (copy / "index.html").read_text(encoding="utf-8")
    assert again.count("<td>no gain</td>") == page.count("<td>no gain</td>") == len(changed)
    assert "Judged again on 2030-01-01" in again
    assert "Real-ESRGAN – bicubic, macro F1: clearly better" in again


def test_a_page_is_left_as_it_is_where_what_was_published_with_it_is_damaged(copy: Path) -> None:
    shutil.copytree(ROOT / "results" / "pbc-answer-published", copy)
    page, table = (copy / "index.html").read_bytes(), copy / "plots" / "confusion" / "bicubic.csv"
    rows, claims = table.read_text(), table.with_name("bicubic.claims.json")
    damages: list[tuple[Path, str, str]] = [
        (
            table,
            "\n".join(rows.split("\n")[:-2]) + "\n",
            r"bicubic\.csv is not the table that was published: its accura",
        ),
        (claims, claims.read_text()[:-30], r"bicubic\.claims\.json cannot be read \("),
        (copy / "params.yaml", "study: {margin: lots}\n", r"params\.yaml lacks degrade, image, classify"),
    ]
    for file, damaged, said in damages:
        whole = file.read_text()
        file.write_text(damaged)
        with pytest.raises(LeukoError, match=f"{said}.*: restore it from version control, or publish the study again"):
            judge_again(copy, date(2030, 1, 1))
        file.write_text(whole)
    table.unlink()
    with pytest.raises(LeukoError, match=r"bicubic\.csv is not there: restore it from version control"):
        judge_again(copy, date(2030, 1, 1))
    assert (copy / "index.html").read_bytes() == page


def test_a_folder_that_is_not_there_is_named(copy: Path) -> None:
    with pytest.raises(LeukoError, match="copy does not exist: name a snapshot"):
        judge_again(copy, date(2030, 1, 1))


def test_a_folder_without_verdicts_is_refused(copy: Path) -> None:
    copy.mkdir()
    with pytest.raises(LeukoError, match="no page with verdicts"):
        judge_again(copy, date(2030, 1, 1))
