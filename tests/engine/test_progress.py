from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from leukosr.engine.progress import progress, track

CODE = """
from leukosr.engine.progress import progress, track
assert list(track(range(3), 3, "checking")) == [0, 1, 2]
with progress(10, "training") as advance:
    advance(10, "PSNR 20 dB")
"""


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}], ids=str)
def test_short_work_prints_nothing_where_stderr_is_not_a_terminal(forced: dict[str, str]) -> None:
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, env={**os.environ, **forced})
    assert (result.stdout, result.stderr) == (b"", b"")


def test_a_log_gets_a_line_per_minute(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 30.0, 61.0, 100.0, 125.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with progress(1000, "training") as advance:
        for note in ("", "PSNR 20 dB", "", ""):
            advance(61, note)
    assert capsys.readouterr().err.splitlines() == [
        "training: 122 of 1,000, 2/s, 0:07:19 left, PSNR 20 dB",
        "training: 244 of 1,000, 1.95/s, 0:06:27 left",
    ]


def test_what_an_interrupted_run_had_done_is_no_part_of_the_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.1, 0.2, 60.0, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with progress(1000, "training") as advance:
        for steps in (300, 400, 0, 60):
            advance(steps, "")
    assert capsys.readouterr().err.splitlines() == ["training: 760 of 1,000, 0.501/s, 0:07:59 left"]


def test_a_terminal_shows_the_description_the_count_and_the_note() -> None:
    if sys.platform == "win32":
        pytest.skip("there are no pseudo-terminals on Windows")
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-c", CODE]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, check=False)
    os.close(theirs)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(ours, 1_000_000).decode())
    os.close(ours)
    assert (result.returncode, result.stdout) == (0, b"")
    for part in ("checking", "3/3", "training", "10/10", "/s", "PSNR 20 dB"):
        assert part in shown


def test_tracking_yields_every_item_lazily() -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    items = track(numbers(), 5, "checking")
    assert next(items) == 0
    assert taken == [0]
    assert list(items) == [1, 2, 3, 4]


def test_an_error_inside_comes_through() -> None:
    with pytest.raises(KeyError), progress(3, "training") as advance:
        advance(1, "")
        raise KeyError
