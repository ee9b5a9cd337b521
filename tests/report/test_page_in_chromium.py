"""The page in a real browser: nothing fails, the divider moves, tables sort, the filter leaves what differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .chromium import CHROMIUM, Tab, chromium_tab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

COLUMN = "[...document.querySelectorAll('#results table')[0].tBodies[0].rows].map(row => row.cells[{}].textContent)"


def part(name: str) -> str:
    return f"document.querySelector('[data-part={name}]')"


@pytest.fixture(scope="module")
def page(page_to_look_at: Path) -> Path:
    return page_to_look_at


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium_tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def shown(tab: Tab, page: Path, request: pytest.FixtureRequest) -> Iterator[Tab]:
    tab.open(page, *request.param)
    yield tab
    assert not tab.errors
    assert tab.run("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"


def test_the_answer_stands_first(shown: Tab) -> None:
    assert shown.run("document.querySelector('#answer').getBoundingClientRect().bottom < innerHeight")
    assert shown.run("document.querySelector('#question').textContent") == "Does super-resolution help here?"


def test_the_divider_moves_by_hand_and_by_key(shown: Tab) -> None:
    clip = "getComputedStyle(document.querySelectorAll('.views .frame')[1]).clipPath"
    before = shown.run(clip)
    shown.run(f"{part('divider')}.value = 80; {part('divider')}.dispatchEvent(new Event('input'))")
    moved = shown.run(clip)
    assert before != moved and "80%" in moved
    shown.run(f"{part('views')}.focus()")
    shown.press("ArrowLeft")
    assert "78%" in shown.run(clip)


def test_both_images_zoom_together_and_keys_change_the_cell(shown: Tab) -> None:
    transforms = "[...document.querySelectorAll('.views img')].map(image => image.style.transform)"
    sources = "[...document.querySelectorAll('.views img')].map(image => image.src)"
    shown.run(f"{part('views')}.focus()")
    shown.press("+")
    first, second = shown.run(transforms)
    assert first == second and first.startswith("scale(2)")
    before = shown.run(sources)
    shown.press("ArrowDown")
    assert all(old != new for old, new in zip(before, shown.run(sources), strict=True))
    assert all(shown.run("[...document.querySelectorAll('.views img')].map(image => image.naturalWidth > 0)"))


def test_the_filter_leaves_the_cells_about_which_the_arms_disagree(shown: Tab) -> None:
    cells = "JSON.parse(document.querySelector('#cells').textContent).cells"
    a, b = shown.run(f"[{part('first')}.value, {part('second')}.value]")
    expected = shown.run(f"{cells}.filter(cell => cell.shots['{a}'].said !== cell.shots['{b}'].said).length")
    everything = shown.run(f"{part('cell')}.options.length")
    shown.run(f"{part('disagree')}.click()")
    assert shown.run(f"{part('cell')}.options.length") == expected
    shown.run(f"{part('second')}.value = '{a}'; {part('second')}.dispatchEvent(new Event('change'))")
    assert shown.run(f"{part('cell')}.options.length") == 0, "an arm agrees with itself"
    assert shown.run(f"{part('views')}.hidden") and everything > 0
    words = f"name all {everything} cells alike, so there is none to show."
    assert words in shown.run(f"{part('count')}.textContent")
    assert shown.run(f"{part('cell')}.disabled")


def test_a_click_on_a_head_sorts_and_a_second_one_turns_it_round(shown: Tab) -> None:
    order = COLUMN.format(0)
    click = "document.querySelectorAll('#results table')[0].tHead.rows[0].cells[0].querySelector('button').click()"
    names = shown.run(order)
    shown.run(click)
    assert shown.run(order) == sorted(names, key=str.lower)
    shown.run(click)
    assert shown.run(order) == sorted(names, key=str.lower, reverse=True)
    heads = "[...document.querySelectorAll('#results thead th')].filter(head => head.hasAttribute('aria-sort')).length"
    assert shown.run(heads) == 1


def test_numbers_sort_as_numbers_and_undefined_ones_come_last(shown: Tab) -> None:
    place = shown.run(
        "[...document.querySelectorAll('#results thead th')].findIndex(head => head.textContent.startsWith('PSNR'))"
    )
    body = "document.querySelectorAll('#results table')[0].tBodies[0].rows"
    shown.run(f"['9.5', '–', '10.25', '−3'].forEach((text, i) => {body}[i].cells[{place}].textContent = text)")
    shown.run(f"{body}[4].remove()")
    shown.run(
        f"document.querySelectorAll('#results table')[0].tHead.rows[0].cells[{place}].querySelector('button').click()"
    )
    assert shown.run(COLUMN.format(place)) == ["−3", "9.5", "10.25", "–"]


def test_the_verdict_can_be_read_beside_the_names(shown: Tab) -> None:
    verdict = "[...document.querySelectorAll('#results td')].find(cell => cell.textContent.startsWith('inconclusive'))"
    assert shown.run(f"{verdict}.cellIndex") == 1
    assert shown.run(f"{verdict}.getBoundingClientRect().right <= innerWidth")


def test_the_table_of_verdicts_fits_a_desktop_and_a_wider_one_shows_that_it_scrolls(tab: Tab, page: Path) -> None:
    tab.open(page, 1366, 900)
    boxes = "[...document.querySelectorAll('.scroll')]"
    tab.run(
        "document.querySelectorAll('#results td:nth-child(2)').forEach(e => { e.textContent += ' (exploratory)'; })"
    )
    wider = tab.run(
        f"{boxes}.filter(box => box.scrollWidth > box.clientWidth).map(box => box.getAttribute('aria-label'))"
    )
    assert wider == []
    assert "gradient" in tab.run(f"getComputedStyle({boxes}[0]).backgroundImage")
    bar = "getComputedStyle(document.querySelector('.scroll'), '::-webkit-scrollbar').height"
    assert float(tab.run(bar).removesuffix("px")) > 8


def test_the_first_column_stays_where_a_phone_scrolls_a_table(tab: Tab, page: Path) -> None:
    tab.open(page, 390, 844)
    left = "document.querySelectorAll('#results .scroll')[1].querySelector('tbody th').getBoundingClientRect().left"
    before = tab.run(left)
    tab.run("document.querySelectorAll('#results .scroll')[1].scrollLeft = 200")
    assert tab.run("document.querySelectorAll('#results .scroll')[1].scrollLeft") > 100
    assert tab.run(left) == pytest.approx(before, abs=1.5)
