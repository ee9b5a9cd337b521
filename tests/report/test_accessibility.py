"""Our pages by axe-core (WCAG 2.2, level AA): contrast, labels, structure; light and dark, on a desktop and a phone."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from leukosr.data.provenance.facts import Facts, Shared
from leukosr.report.combined_page import write_combined
from leukosr.report.dose_response import write_dose_response
from leukosr.report.provenance_page import write_provenance_page
from leukosr.report.side_by_side import write_side_by_side

from .chromium import CHROMIUM, Tab, chromium_tab
from .conftest import draw_nothing, with_few_images
from .test_dose_response import result


def axe_script() -> Path | None:
    """axe.min.js, which a package carries whose own code, and its browsers, are not used."""
    found = importlib.util.find_spec("axe_playwright_python")
    return None if found is None or found.origin is None else Path(found.origin).with_name("axe.min.js")


AXE = axe_script()
RULES = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], preload: false}"
FOUND = f"""axe.run(document, {RULES}).then(found => found.violations.flatMap(
    rule => rule.nodes.map(node => rule.id + ': ' + node.html.slice(0, 160) + ' ' + node.failureSummary)))"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
    pytest.mark.skipif(AXE is None, reason="no axe-core is installed: pip install -r requirements-dev.txt"),
]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium_tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def dose_response(folder: Path) -> Path:
    hits = {"bicubic": 0.7, "sr": 0.8, "ground_truth": 0.9}
    return write_dose_response(folder, [result(folder, scale, hits) for scale in (2, 4)])[0]


def side_by_side(folder: Path) -> Path:
    for name in ("x2", "x4"):
        (folder / name / "figures").mkdir(parents=True)
        pd.DataFrame({"arm": ["bicubic"], "psnr": [20.0], "ssim": [0.5]}).to_csv(folder / name / "comparison.csv")
        Image.new("RGB", (8, 8)).save(folder / name / "figures" / "grid.png")
    return write_side_by_side(folder / "both", [folder / "x2", folder / "x4"])


def sources(folder: Path) -> Path:
    for name in "abc":
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    groups = {"source-0001": ("a.png", "b.png"), "source-0002": ("c.png",)}
    conflicts, shared = {"source-0001": {"eosinophil": 1, "monocyte": 1}}, (Shared("test", "training", 1, 2),)
    facts = Facts(groups, (("a.png", "b.png"),), (("a.png", "b.png"),), conflicts, shared, ("c.png",))
    return write_provenance_page(folder, folder, facts, dict.fromkeys(("a.png", "b.png", "c.png"), 0.9), "A set")


def combined(folder: Path) -> Path:
    root = Path(__file__).parents[2]
    published = [root / "results" / name for name in ("pbc-answer-probe", "pbc-answer-published")]
    pieces = with_few_images(folder, *published)
    return write_combined(folder / "page", "pbc_answer_probe", pieces, conf=root / "conf")[0]


@pytest.fixture(
    scope="module",
    params=[None, dose_response, side_by_side, sources, combined],
    ids=lambda write: write.__name__ if write else "report",
)
def page(page_to_look_at: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    write: Callable[[Path], Path] | None = request.param
    if write is None:
        return page_to_look_at
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        return write(tmp_path_factory.mktemp("page"))


def violations(tab: Tab) -> list[str]:
    """What axe finds on the page, with everything unfolded."""
    assert AXE is not None
    tab.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    tab.run(AXE.read_text(encoding="utf-8") + "; undefined")
    found: list[str] = tab.run(FOUND)
    return found


@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 900, "light"), (390, 844, "dark")])
def test_a_page_can_be_read_by_everyone(tab: Tab, page: Path, width: int, height: int, scheme: str) -> None:
    tab.open(page, width, height, scheme)
    found = violations(tab)
    assert not found, "\n".join(found)


def test_pale_text_and_a_picture_without_words_are_found(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<!DOCTYPE html><html lang="en"><title>t</title><main><h1>h</h1><p style="color: #bbb">pale</p>'
        '<img src="data:,"></main></html>'
    )
    tab.open(tmp_path / "page.html", 800, 600)
    assert {each.partition(":")[0] for each in violations(tab)} == {"color-contrast", "image-alt"}
