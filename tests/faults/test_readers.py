"""Whatever stands in a file that people bring, a reader gives a value or one sentence, soon."""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.faults.readers import PREDICTIONS, TABLE_READERS, TABLES, TRIALS, weight_files
from tests.faults.tally import Tally

from leukosr import cli
from leukosr.config import load_params, parse_params
from leukosr.data.split_table import read_split
from leukosr.errors import LeukoError

SECONDS = 10.0  # of processor time, which a busy machine does not lengthen
Sample = Callable[[int, int], int]

CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", ".", "..", "/", "\\", "a/1.png", "a\\1.png", "C:\\1.png", "train", "a", "0.0", "nan", "-inf", "1e999",
         "9" * 5000, str(2**64 - 1), "=1+1", "'=x", "\0", "\x1b[2J", "x" * 140_000, "é" * 300, "fold_0", "unused"]
    ),
)  # fmt: skip
NAMES = sorted({name for table in TABLES.values() for name in table.decode().split("\n")[0].split(",")})
HEADERS = st.lists(CELLS | st.sampled_from(NAMES), max_size=8)


@st.composite
def tables(draw: st.DrawFn, example: bytes) -> bytes:
    """A table with odd cells, quotes, delimiters and encodings; often with the columns of `example`."""
    first, *rest = (line.split(",") for line in example.decode().splitlines())
    header = draw(st.one_of(st.just(first), HEADERS))
    rows = draw(st.lists(st.one_of(st.sampled_from(rest), st.lists(CELLS, max_size=len(first) + 1)), max_size=5))
    sign, end = draw(st.sampled_from(",;\t| ")), draw(st.sampled_from(["\n", "\r\n", "\r", ""]))
    quote = draw(st.booleans())
    lines = [sign.join(json.dumps(cell) if quote else cell for cell in row) for row in [header, *rows]]
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]))
    return end.join(lines).encode(encoding, errors="replace") + draw(st.binary(max_size=3))


def hammer(
    tally: Tally, name: str, examples: int, given_by: st.SearchStrategy[Any], read: Callable[[Any], None]
) -> None:
    """Read so many examples; the shortest one that fails is the failure of `name`."""

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(given_by)
    def attempt(example: Any) -> None:
        tally.tried += 1
        begun = time.process_time()
        try:
            read(example)
        except LeukoError as error:
            assert str(error)
        assert time.process_time() - begun < SECONDS, "took too long"

    try:
        attempt()
    except Exception as error:
        tally.failures[name] = f"{type(error).__name__}: {error} {getattr(error, '__notes__', '')}"[:2000]


def test_tables(tally: Tally, sample: Sample, tmp_path: Path) -> None:
    tally.kind = "tables, fuzzed"
    path = tmp_path / "table.csv"
    for name, read in TABLE_READERS.items():

        def attempt(content: bytes, read: Callable[[Path], None] = read) -> None:
            path.write_bytes(content)
            read(path)

        hammer(tally, name, sample(2000, 120), st.one_of(st.binary(max_size=200), tables(TABLES[name])), attempt)


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4), st.dates(),
    st.sampled_from([2**64, -1, 10**30, "srgan", "both", 1e308]),
)  # fmt: skip


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.text(max_size=5) | st.integers()
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
    )


@pytest.fixture(scope="module")
def composed(compose_raw: Callable[..., Any]) -> Any:
    return compose_raw("study=demo", "budget=smoke")


def places(raw: Any) -> list[tuple[Any, ...]]:
    """Where every value of nested dicts and lists stands."""
    children = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [place for key, value in children for place in [(key,), *((key, *below) for below in places(value))]]


def test_parameters(tally: Tally, sample: Sample, composed: Any, tmp_path: Path) -> None:
    tally.kind = "params.yaml, fuzzed"
    path = tmp_path / "params.yaml"

    def load(content: bytes) -> None:
        path.write_bytes(content)
        load_params(path)

    def parse(change: tuple[tuple[Any, ...], Any, str]) -> None:
        (*parents, last), value, how = change
        section = raw = copy.deepcopy(composed)
        for key in parents:
            section = section[key]
        if how == "delete":
            del section[last]
        elif how == "add" and isinstance(section, dict):
            section["other"] = value
        else:
            section[last] = value
        parse_params(raw, "params.yaml")

    signs = st.text("{}[]:,-?&*!|>'\"%@`#~<=. \n\tab019xe", max_size=60).map(str.encode)
    hammer(tally, "text", sample(5000, 300), st.one_of(st.binary(max_size=80), signs), load)
    hammer(tally, "YAML", sample(2000, 150), nested(LEAVES | st.builds(lambda: 16**5000)).map(dumped), load)
    changes = st.tuples(st.sampled_from(places(composed)), nested(LEAVES), st.sampled_from(["set", "delete", "add"]))
    hammer(tally, "values", sample(5000, 250), changes, parse)


def dumped(value: Any) -> bytes:
    try:
        return yaml.safe_dump(value, allow_unicode=True).encode()
    except ValueError:  # an integer that Python does not write
        return b"a: 0x" + b"f" * 5000


def test_weight_headers(tally: Tally, sample: Sample, tmp_path: Path) -> None:
    tally.kind = "headers of weight files, fuzzed"
    from leukosr.engine.weights import read_tensors

    path = tmp_path / "weights.safetensors"
    whole = weight_files()[0]
    start = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:start])

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_tensors(path)

    def with_header(change: tuple[tuple[Any, ...], Any]) -> bytes:
        (*parents, last), value = change
        section = changed = copy.deepcopy(header)
        for key in parents:
            section = section[key]
        section[last] = value
        text = json.dumps(changed).encode()
        return len(text).to_bytes(8, "little") + text + whole[start:]

    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
    headers = st.tuples(st.sampled_from(places(header)), values).map(with_header)
    cut = st.tuples(st.integers(0, len(whole)), st.binary(max_size=9)).map(
        lambda c: whole[: c[0]] + c[1] + whole[c[0] :]
    )
    hammer(tally, "weights", sample(3000, 200), st.one_of(st.binary(max_size=99), headers, cut), read)


BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1}\n  <<: [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
PARAMETER_FILES: dict[str, tuple[bytes, str]] = {
    "aliases that stand for a billion values": (BOMB.encode(), "more than 100,000 values"),
    "merges that stand for a billion values": (MERGED.encode(), "more than 100,000 values"),
    "an alias inside itself": (b"a: &a [*a]\n", "levels deep"),
    "2,000 levels in brackets": (b"[" * 2000 + b"]" * 2000, "deep"),
    "2,000 levels of indentation": (b"\n".join(b" " * n + b"a:" for n in range(700)), "deep"),
    "a number of 5,000 digits": (b"a: " + b"9" * 5000, "line 1: an integer of 5,000 digits"),
    "a number of 5,000 hexadecimal digits": (b"study: 0x" + b"f" * 5000, "line 1: an integer of 5,002 digits"),
    "a date that is none": (b"a: 2001-99-99", "not valid YAML"),
    "an empty integer": (b"a: !!int ''", "not valid YAML"),
    "a Python object": (b"a: !!python/object/apply:os.system ['true']", "not valid YAML"),
    "a key twice": (b"study: {}\nstudy: {}\n", "line 2: the key 'study' stands twice"),
    "a list as a key": (b"? [1]\n: 2\n", "not valid YAML"),
    "Latin-1": ("titel: größe".encode("latin-1"), "not valid YAML"),
    "UTF-16": ("a: 1".encode("utf-16"), "not valid YAML"),
    "NUL": (b"a: \0", "not valid YAML"),
    "a list": (b"- 1\n", "not the sections of a study: compose it with"),
    "nothing": (b"", "not the sections of a study: compose it with"),
    "10 MB": (b"a: 1\n" * 2_000_000, "larger than 256 KB"),
}


def test_hostile_parameter_files(
    tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tally.kind = "hostile params.yaml"
    path = tmp_path / "params.yaml"
    for name, (content, said) in PARAMETER_FILES.items():
        with tally.trial(name):
            path.write_bytes(content)
            assert said in one_error(["which", "--params", str(path)], monkeypatch, capsys)
    for name, place in {"a folder": str(tmp_path), "none": "none.yaml", "long": "x" * 300}.items():
        with tally.trial(name):
            one_error(["which", "--params", place], monkeypatch, capsys)


TABLE_FILES: dict[str, tuple[str, bytes]] = {
    "an empty file": ("compare", b""),
    "a header alone": ("compare", PREDICTIONS.split(b"\n")[0]),
    "a seed of 5,000 digits": ("compare", PREDICTIONS.replace(b",1,", b"," + b"9" * 5000 + b",", 1)),
    "a seed of 65 bits": ("compare", PREDICTIONS.replace(b",1,", b",36893488147419103232,", 1)),
    "no seed": ("compare", PREDICTIONS.replace(b",1,", b",,", 1)),
    "a label that is not a number": ("compare", PREDICTIONS.replace(b"a,a", b"a,nan")),
    "a NUL": ("compare", PREDICTIONS.replace(b"s", b"\0")),
    "a cell of 200 KB": ("compare", PREDICTIONS + b"x" * 200_000 + b",s,1,a,a,1,0\n"),
    "a quote that never ends": ("compare", PREDICTIONS + b'"x,s,1,a,a,1,0\n'),
    "more cells than names": ("compare", PREDICTIONS + b"x,s,1,a,a,1,0,7,8\n"),
    "Latin-1": ("compare", PREDICTIONS.replace(b"s", b"\xe9")),
    "UTF-16 without a mark": ("compare", PREDICTIONS.decode().encode("utf-16-le")),
    "a picture": ("compare", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "labels of another language": ("compare", PREDICTIONS.replace(b",p_a,p_b", b"").replace(b",a,a", b",x,y")),
    "an image twice": ("compare", PREDICTIONS + PREDICTIONS.split(b"\n")[1]),
    "trials without a metric": ("variance", TRIALS.replace(b"accuracy", b"loss")),
    "a rate that is no number": ("variance", TRIALS.replace(b"0.1", b"fast")),
    "a decimal comma": ("variance", TRIALS.replace(b",", b";").replace(b"0.1", b"0,1")),
    "a metric of 400 digits": ("variance", TRIALS.replace(b"0.5", b"5" * 400)),
    "a metric of 5,000 digits": ("variance", TRIALS.replace(b"0.5", b"5" * 5000)),
    "a metric that is nan": ("variance", TRIALS.replace(b"0.5", b"nan")),
    "a metric beyond its squares": ("variance", TRIALS.replace(b"0.5", b"1e300")),
    "a rate that is missing": ("variance", TRIALS.replace(b"0.1", b"")),
    "one trial": ("variance", b"\n".join(TRIALS.split(b"\n")[:2])),
}


def test_hostile_tables(
    tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tally.kind = "hostile tables"
    monkeypatch.chdir(tmp_path)
    Path("good.csv").write_bytes(PREDICTIONS)
    for name, (command, content) in TABLE_FILES.items():
        with tally.trial(name):
            Path("bad.csv").write_bytes(content)
            others = ["good.csv"] if command == "compare" else []
            assert "bad" in one_error([command, "bad.csv", *others], monkeypatch, capsys)
    for name, place in {
        "a folder": ".",
        "the root": "/",
        "nothing": "none.csv",
        "long": "x" * 300,
    }.items():
        with tally.trial(f"{name} for a table"):
            one_error(["compare", place, "good.csv"], monkeypatch, capsys)
            one_error(["variance", place], monkeypatch, capsys)


def test_names_that_no_file_can_have(tally: Tally) -> None:
    tally.kind = "hostile file names"
    readers = {name: TABLE_READERS[name] for name in ("predictions", "trials", "manifest")}
    for name, read in {**readers, "split.csv": read_split, "params.yaml": load_params}.items():
        for path in ("a\0b", "x" * 300, "/", ".", "none/none"):
            with tally.trial(f"{path[:20]!r} for {name}"), pytest.raises(LeukoError):
                read(Path(path))


def one_error(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `leukosr …` says, run in this process: one line on stderr, exit code 1."""
    monkeypatch.setattr(sys, "argv", ["leukosr", *arguments])
    begun = time.process_time()
    with pytest.raises(SystemExit) as stop:
        cli.main()
    printed = capsys.readouterr()
    assert stop.value.code == 1, printed.err
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1 and printed.out == "", printed
    assert time.process_time() - begun < SECONDS
    return printed.err
