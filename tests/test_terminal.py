"""What people read: names are printed as names, in any terminal, to the end or not."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from rich.table import Table

from leukosr.quoting import visible
from leukosr.terminal import Terminal, print_table


def printed(*what: object) -> str:
    file = io.StringIO()
    terminal = Terminal(file=file, width=100, force_terminal=True, color_system=None)
    for each in what:
        terminal.print(each)
    return file.getvalue()


def test_nothing_in_a_name_is_markup_emoji_or_control() -> None:
    table = Table(title="[b]t\x1b[0m")
    table.add_column("[i]head")
    table.add_row("\x1b]0;x\x07[red]:cat:")
    said = printed("[bold]x[/] :cat: \x1b[2J\u202egnp.exe \udcff", table)
    for name in (r"[bold]x[/] :cat: \x1b[2J\u202egnp.exe \udcff", r"[b]t\x1b[0m", "[i]head", r"\x1b]0;x\x07[red]:cat:"):
        assert name in said
    assert "\x1b" not in said


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("", "größer – 5 ± 3 … ✓ 細胞", "a → b"):
        assert visible(text) == text


def run(code: str, **environment: str) -> subprocess.Popen[bytes]:
    """A process of its own with a command `flood` beside those of `leukosr`."""
    script = (
        "import sys; from leukosr import cli; from leukosr.cli import options\n"
        "@cli.app.command()\ndef flood() -> None:\n"
        f"    {code}\nsys.argv = ['leukosr', 'flood']; cli.main()"
    )
    command, pipe = [sys.executable, "-c", script], subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, env={**os.environ, **environment})


HEADS = ("table", "runs", "mean\n(95 %)", "verdict")
ROWS = [["constant", "32", "62.1 (60.9 … 63.3)", "no gain"], ["decay", "32", "61.0 (60.2 … 61.8)", "better"]]


@pytest.mark.parametrize(
    ("width", "first"),
    [
        (60, "┏"),  # all of it
        (45, "in every row: runs 32"),
        (32, "constant"),  # each row as a list
    ],
)
def test_a_table_fits_its_terminal_and_leaves_nothing_out(width: int, first: str) -> None:
    file = io.StringIO()
    print_table(Terminal(file=file, width=width, color_system=None), HEADS, ROWS, left=1)
    lines = file.getvalue().splitlines()
    assert lines[0].startswith(first) and max(map(len, lines)) <= width
    text = " ".join(file.getvalue().split())
    for each in ("constant", "decay", "32", "62.1 (60.9 … 63.3)", "61.0 (60.2 … 61.8)", "no gain", "better"):
        assert each in text


def test_rows_of_one_name_stand_side_by_side_in_a_narrow_terminal() -> None:
    file = io.StringIO()
    first, again = ["raw – bicubic", "better", "macro F1", "0.0313"], ["raw – bicubic", "inconclusive", "accuracy", "–"]
    rows = [first, ["raw – srgan", "no gain", "macro F1", "0.04"], again]
    print_table(Terminal(file=file, width=36, color_system=None), ("arms", "verdict", "metric", "p"), rows, left=3)
    assert [" ".join(line.split()) for line in file.getvalue().splitlines()] == [
        "raw – bicubic", "verdict better inconclusive", "metric macro F1 accuracy", "p 0.0313 –",
        "raw – srgan", "verdict no gain", "metric macro F1", "p 0.04",
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_signs_that_an_encoding_lacks_are_replaced(encoding: str) -> None:
    code = "options.console.print('größer – \\udcff'); options.errors.print('± −4.4')"
    process = run(code, PYTHONIOENCODING=encoding)
    out, err = process.communicate()
    minus = "−" if encoding == "utf-8" else "-"  # without it the number would be another one
    assert (process.returncode, err) == (0, f"± {minus}4.4\n".encode(encoding, errors="replace"))
    assert out == "größer – \\udcff\n".encode(encoding, errors="replace")


@pytest.mark.parametrize(
    "code",
    [
        "[options.console.print('x' * 200) for _ in range(2000)]",
        "from leukosr.terminal import print_raw; print_raw('x\\n' * 10**6)",
    ],
)
def test_an_output_that_nobody_reads_on_ends_in_silence(code: str) -> None:
    process = run(code)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


SHOW_VERSION = "from leukosr import cli; sys.argv = ['leukosr', '--version']; cli.main()"


def test_a_full_disk_behind_the_output_is_one_sentence() -> None:
    command = [sys.executable, "-c", f"import sys; {SHOW_VERSION}"]
    with open("/dev/full", "wb") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    said = "error: the output: No space left on device; fix that and run again\n"
    assert (result.returncode, result.stderr) == (1, said)


def test_no_output_at_all_is_no_error() -> None:
    command = [sys.executable, "-c", f"import sys; sys.stdout = None; {SHOW_VERSION}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_file_or_a_pipe_has_no_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    heads, rows = ["what", "verdict"], [["x" * 70, "equivalent " * 6]]
    for columns, folded in (("", False), ("80", True)):
        monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS", raising=False)
        file = io.StringIO()
        print_table(Terminal(file=file), heads, rows)
        assert (max(map(len, file.getvalue().splitlines())) <= 80) == folded
