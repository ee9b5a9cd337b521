"""`leukosr app` in a real browser: an image is dropped, compared, named and saved; a hostile file is refused."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.patience import PATIENCE
from tests.report.chromium import CHROMIUM, Tab, chromium_tab

from .conftest import picture_bytes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]
DROP = """{{
  const bytes = Uint8Array.from(atob("{content}"), (sign) => sign.charCodeAt(0));
  const held = new DataTransfer();
  held.items.add(new File([bytes], "{name}"));
  document.getElementById("drop").dispatchEvent(
    new DragEvent("drop", {{ dataTransfer: held, bubbles: true, cancelable: true }}));
}}"""
SLOW = """const served = window.fetch;
window.fetch = (path, options) => {
  if (path.includes("/seconds")) {
    const headers = { "Content-Type": "application/json" };
    return Promise.resolve(new Response('{"raw": 5, "srgan": 95}', { headers }));
  }
  if (!path.includes("name=srgan")) return served(path, options);
  return new Promise((_, fail) => options.signal.addEventListener("abort", () => fail(options.signal.reason)));
};"""
PHONE, DESKTOP = (390, 844), (1280, 900)


@contextmanager
def running_app(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, started as a user would, and the address that it prints."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of tests in the background, which children inherit
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "leukosr", "app", "--port", "0", "--device", "cpu"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        printed = next(line for line in process.stdout if "open http" in line)
        yield process, re.findall(r"http://127\.0\.0\.1:\d+", printed)[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def address(study: Path) -> Iterator[str]:
    with running_app(study) as (_, printed):
        yield printed


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def shown(address: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Tab]:
    with chromium_tab(tmp_path_factory.mktemp("profile")) as tab:
        tab.open(address, *request.param)
        yield tab
        assert tab.run("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"


def text(tab: Tab, part: str) -> str:
    """What a part of the page says, by its id."""
    return str(tab.run(f"document.getElementById('{part}').textContent"))


def drop(
    tab: Tab, name: str, content: bytes, until: Callable[[str], bool] = lambda status: "now" not in status
) -> None:
    """Drop a file on the page and wait until its status is as expected: by default, until the last step has ended."""
    tab.run(DROP.format(content=base64.b64encode(content).decode(), name=name))
    latest = time.monotonic() + PATIENCE
    while not until(said := text(tab, "status")):
        assert time.monotonic() < latest, said
        time.sleep(0.05)


def test_an_image_is_compared_named_and_saved(shown: Tab) -> None:
    drop(shown, "cell.png", picture_bytes())
    assert shown.run("document.getElementById('refused').textContent") == ""
    assert "cell.png: 3 images, 2 answers in" in shown.run("document.getElementById('status').textContent")
    assert shown.run(
        "Promise.all([...document.querySelectorAll('#result img')].map((image) => image.decode()))"
        ".then(() => [...document.querySelectorAll('.views img')].map((image) => image.naturalWidth))"
    ) == [40, 160]
    clip = "getComputedStyle(document.querySelectorAll('.views .frame')[1]).clipPath"
    before = shown.run(clip)
    divider = "document.querySelector('[data-part=divider]')"
    shown.run(f"{divider}.value = 80; {divider}.dispatchEvent(new Event('input'))")
    assert before != shown.run(clip) and "80%" in shown.run(clip)
    rows = shown.run(
        "[...document.querySelectorAll('#answers tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert [row[0] for row in rows] == ["raw LR, paper", "SRGAN, paper"]
    for row in rows:
        assert row[1] in ("eosinophil", "monocyte", "neutrophil") and row[3] in ("sure", "not sure")
        assert sum(map(float, row[5:8])) == pytest.approx(1, abs=0.002)
        assert row[2] == max(row[5:8])
    assert shown.run("document.querySelectorAll('#answers td img').length") == 2
    answer = "document.querySelector('#table tbody tr').cells[2].getBoundingClientRect().right"
    assert shown.run(f"{answer} <= innerWidth"), "the probability is out of sight"
    saved = shown.run(
        "(async () => { const link = [...document.querySelectorAll('#downloads a')].pop();"
        " const bytes = new Uint8Array(await (await fetch(link.href)).arrayBuffer());"
        " return [link.download, [...bytes.slice(1, 4)]]; })()"
    )
    assert saved == ["cell-srgan.png", [80, 78, 71]]
    assert shown.errors == []


def test_a_hostile_file_is_refused_with_its_sentence_and_the_next_image_is_shown(shown: Tab) -> None:
    drop(shown, "cell.png", b"%!PS-Adobe-3.0 EPSF-3.0\n(/tmp/owned) (w) file closefile\n")
    assert shown.run("document.getElementById('refused').textContent") == (
        "cell.png: the image is not a PNG: it holds EPS"
    )
    assert shown.run("document.getElementById('result').hidden")
    drop(shown, "next.png", picture_bytes(24, 24))
    assert shown.run("!document.getElementById('result').hidden")
    assert "next.png" in shown.run("document.getElementById('status').textContent")


def test_an_original_is_shown_beside_what_is_made_of_its_reduction(shown: Tab) -> None:
    shown.run("document.querySelector('input[name=original][value=true]').click()")
    drop(shown, "original.png", picture_bytes(160, 160))
    assert shown.run("document.getElementById('refused').textContent") == ""
    labels = shown.run("[...document.querySelector('[data-part=first]').options].map((option) => option.textContent)")
    assert labels[0].endswith("32×32") and all(label.endswith("128×128") for label in labels[1:])
    assert "4 images, 3 answers" in shown.run("document.getElementById('status').textContent")


def test_each_note_stands_once_in_words_of_the_page(shown: Tab) -> None:
    drop(shown, "cell.png", picture_bytes())
    notes = shown.run("[...document.querySelectorAll('#notes li')].map((item) => item.textContent)")
    (ranges,) = (note for note in notes if "no ranges stored" in note)
    assert ranges.startswith("SRGAN; classifiers of raw LR, paper; classifiers of SRGAN, paper: ")
    assert "--" not in " ".join(notes) and ".safetensors" not in " ".join(notes)
    assert "“paper” is the protocol that split the study's images: test images drawn" in text(shown, "form")


def test_a_long_wait_is_announced_and_can_be_stopped(shown: Tab) -> None:
    shown.run(SLOW)
    drop(shown, "photo.png", picture_bytes(), lambda status: "now SRGAN" in status)
    assert text(shown, "long") == (
        "Enlarging 32×40 pixels takes about 2 min on this machine. For less, stop, and choose fewer arms or cut out a "
        "smaller image; if the image is an original, say so above."
    )
    assert re.fullmatch(r"\d+ s of about 2 min", text(shown, "elapsed"))
    shown.run("document.getElementById('stop').click()")
    assert [text(shown, part) for part in ("status", "long", "elapsed")] == ["stopped: photo.png", "", ""]
    assert shown.run("document.getElementById('stop').hidden") and text(shown, "refused") == ""


def test_ctrl_c_ends_it_without_an_error(study: Path) -> None:
    with running_app(study) as (process, address):
        urllib.request.urlopen(address).close()  # it answers, so it listens to signals, too
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, rest.strip()) == (0, "app: ended; no image was kept")
