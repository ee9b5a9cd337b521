"""docs/extending.md, followed word for word in a clone: nothing has to be touched but what the page names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import NARROW, REPO, Clone, fresh_clone, stages_run, tiny

pytestmark = pytest.mark.pipeline

PAGE = REPO / "docs" / "extending.md"
STEP = re.compile(
    r"^(?:Write|Add to) `(?P<file>[^`]+)`(?:, (?P<place>above|at the end of) `(?P<name>\w+)`)?:\n\n"
    r"```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SMALL = {**NARROW, "iterations": 3}
del SMALL["discriminator_features"]


@dataclass(frozen=True)
class Step:
    """A file to write, or text to add to one: `above` a name, or as imports and an entry `at the end of` a registry."""

    file: str
    place: str | None
    name: str | None
    text: str

    def follow(self, root: Path) -> None:
        path = root / self.file
        if self.place is None:
            assert not path.exists(), f"{self.file} is there already"
            path.write_text(self.text)
            return
        lines = path.read_text().splitlines(keepends=True)
        (start,) = [i for i, line in enumerate(lines) if re.match(rf"{self.name}\b.*[{{=]", line)]
        if self.place == "above":
            lines[start:start] = [self.text, "\n\n"]
        else:
            added = self.text.splitlines(keepends=True)
            end = next(i for i in range(start, len(lines)) if lines[i].startswith("}"))
            lines[end:end] = [line for line in added if line.startswith(" ")]
            for line in (line for line in added if line.startswith("from ")):  # where it stands in order
                lines.insert(next(i for i, each in enumerate(lines) if is_import(each) and each > line), line)
        path.write_text("".join(lines))


def is_import(line: str) -> bool:
    return line.startswith("from leukosr.")


def steps() -> dict[str, list[Step]]:
    """The steps of each section of the page, by its heading."""
    sections = re.split(r"^## (.+)\n", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {
        heading: [Step(*step.group("file", "place", "name", "text")) for step in STEP.finditer(text)]
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
    }
    assert sum(map(len, found.values())) == PAGE.read_text().count("```") / 2, "a block that no sentence introduces"
    return found


def status(clone: Clone) -> dict[str, str]:
    """What git says of each file that is new or changed."""
    lines = clone.run("git", "status", "--porcelain", "--untracked-files=all").splitlines()
    return {line[3:]: line[:2].strip() for line in lines}


def passed(output: str) -> int:
    """How many tests passed; none may have done anything else."""
    (count,) = re.findall(r"^(\d+) passed, \d+ deselected", output, re.MULTILINE)
    return int(count)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Clone]:
    """A clone in which nothing was run."""
    clone = fresh_clone(tmp_path)
    yield clone
    shutil.rmtree(clone.root)


def test_the_page_adds_what_it_says_and_nothing_else_has_to_change(empty: Clone) -> None:
    page = steps()
    methods = "src/leukosr/superres/methods"
    for step in page["A super-resolution method"]:
        step.follow(empty.root)
    own_files = {f"{methods}/charbonnier.py": "??", "conf/method/charbonnier.yaml": "??"}
    assert status(empty) == {**own_files, f"{methods}/__init__.py": "M"}
    assert empty.run("git", "diff", "--numstat").split() == ["2", "0", f"{methods}/__init__.py"]
    tests = ("python", "-m", "pytest", "-p", "no:cacheprovider")
    assert passed(empty.run(*tests, "tests/superres/test_methods.py", "-k", "charbonnier")) == 7

    for heading, added in page.items():
        for step in added if heading != "A super-resolution method" else ():
            step.follow(empty.root)
    named = {step.file: "M" if step.place else "??" for added in page.values() for step in added}
    assert status(empty) == named
    assert empty.run("git", "diff", "--numstat").count("\t0\t") == list(named.values()).count("M")  # no line is changed
    empty.run("ruff", "check", "--no-cache", *(name for name in named if name.endswith(".py")))
    empty.run("ruff", "format", "--no-cache", "--check", *(name for name in named if name.endswith(".py")))
    registered = ("espcn", "photons", "gamma", "halves", "atto", "extended")
    output = empty.run(
        *tests, "tests/superres/test_networks.py", "tests/superres/test_weights.py", "tests/degradation",
        "tests/images/test_filters.py", "tests/data/test_splits.py", "tests/test_config.py", "-k",
        " or ".join(registered), "-v",
    )  # fmt: skip
    assert passed(output) > 40
    assert [name for name in registered if not re.search(rf"\[.*{name}.*\] PASSED", output)] == []

    sizes = {f"train_sr.charbonnier.sizes.smoke.{key}": value for key, value in SMALL.items()}
    chosen = {"study": "extended", "budget.classify.backbone": "timm/resnet10t", **sizes}
    overrides = [part for key, value in chosen.items() for part in ("-S", f"{key}={value}")]
    stages = stages_run(empty.run("dvc", "exp", "run", *tiny([]), *overrides))
    assert {"degrade", "train_sr@charbonnier", "quality@gamma", "classify@moved", "report"} <= stages
    assert status(empty) == {**named, "params.yaml": "M", "dvc.lock": "M"}
    outputs = empty.root / "outputs" / "extended"
    assert (outputs / "sr" / "charbonnier" / "best.safetensors").is_file()
    summary = json.loads((empty.root / "reports" / "extended" / "summary.json").read_text())
    assert summary.keys() == {"gamma", "charbonnier", "ground_truth", "moved"}
    assert summary["charbonnier"]["psnr"] > 0 and summary["moved"]["accuracy"] is not None
    for experiment, backbone in (("gamma", "timm/resnet10t"), ("moved", "timm/convnext_atto")):
        metrics = json.loads((outputs / "classify" / experiment / "halves" / "metrics.json").read_text())
        assert metrics["backbone"] == backbone
    assert "Charbonnier" in (empty.root / "reports" / "extended" / "index.html").read_text()
