"""docs/extending.md, followed word for word in a clone: nothing has to be touched but what the page names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from leukosr.classify.weights import load_classifier
from leukosr.superres.weights import load_generator

from .conftest import REPO, Clone, fresh_clone, stages_run, tiny

pytestmark = pytest.mark.pipeline

PAGE = REPO / "docs" / "extending.md"
STEP = re.compile(
    r"^(?:Write|Add to) `(?P<file>[^`]+)`(?:, (?P<place>above|at the end of) `(?P<name>\w+)`)?:\n\n"
    r"```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
METHOD = "A super-resolution method"
REGISTERED = ("charbonnier", "espcn", "photons", "gamma", "dark", "halves", "atto", "extended")
TESTS = (  # that run over the registries and conf/
    "tests/superres/test_methods.py", "tests/superres/test_networks.py", "tests/superres/test_weights.py",
    "tests/degradation/test_degradations.py", "tests/images/test_filters.py", "tests/images/test_extraction.py",
    "tests/data/test_splits.py", "tests/test_config.py",
)  # fmt: skip
SMALL = {
    "generator.features": 8,
    "generator.blocks": 1,
    "patch": 32,
    "batch": 2,
    "validate_every": 1,
    "stages.0.iterations": 3,
}


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
            for line in filter(re.compile("from ").match, added):  # among the other imports, in order
                later = (i for i, each in enumerate(lines) if each.startswith("from leukosr.") and each > line)
                lines.insert(next(later), line)
        path.write_text("".join(lines))


def steps() -> dict[str, list[Step]]:
    """The steps of each section of the page, by its heading."""
    sections = re.split(r"^## (.+)\n", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {
        heading: [Step(*step.group("file", "place", "name", "text")) for step in STEP.finditer(text)]
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
    }
    assert sum(map(len, found.values())) == PAGE.read_text().count("```") / 2, "a sentence must introduce each block"
    return found


def status(clone: Clone) -> dict[str, str]:
    """What git says of each file that is new or changed."""
    lines = clone.run("git", "status", "--porcelain", "--untracked-files=all").splitlines()
    return {line[3:]: line[:2].strip() for line in lines}


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Clone]:
    """A clone in which nothing was run."""
    clone = fresh_clone(tmp_path)
    yield clone
    shutil.rmtree(clone.root)


@pytest.mark.slow
def test_nothing_has_to_change_but_what_the_page_names(empty: Clone) -> None:
    page = steps()
    for step in page.pop(METHOD):
        step.follow(empty.root)
    methods = "src/leukosr/superres/methods"
    own_files = {f"{methods}/charbonnier.py": "??", "conf/method/charbonnier.yaml": "??"}
    assert status(empty) == {**own_files, f"{methods}/__init__.py": "M"}
    assert empty.run("git", "diff", "--numstat").split() == ["2", "0", f"{methods}/__init__.py"]

    for step in chain.from_iterable(page.values()):
        step.follow(empty.root)
    named = {step.file: "M" if step.place else "??" for step in chain.from_iterable(steps().values())}
    assert status(empty) == named
    changed = [line.split() for line in empty.run("git", "diff", "--numstat").splitlines()]
    assert len(changed) == list(named.values()).count("M")
    assert {removed for _, removed, _ in changed} == {"0"}

    modules = [name for name in named if name.endswith(".py")]
    empty.run("ruff", "check", "--no-cache", *modules)
    empty.run("ruff", "format", "--no-cache", "--check", *modules)
    output = empty.run("python", "-m", "pytest", "-p", "no:cacheprovider", "-rp", *TESTS, "-k", " or ".join(REGISTERED))
    (counts,) = re.findall(r"^(\d+ passed.*) in [\d.]+s", output, re.MULTILINE)
    assert re.fullmatch(r"\d+ passed, \d+ deselected", counts)
    tested = re.findall(r"^PASSED (\S+)::\S+\[(.+)\]$", output, re.MULTILINE)
    assert {name for name in REGISTERED if not any(name in case for _, case in tested)} == set()
    assert {file for file, _ in tested} == set(TESTS)

    outputs = run_study(empty)
    assert status(empty) == {**named, "params.yaml": "M", "dvc.lock": "M"}
    assert load_generator(outputs / "sr" / "charbonnier" / "best.safetensors").architecture == "srgan"
    (weights,) = (outputs / "classify" / "with_atto" / "halves" / "weights").glob("*.safetensors")
    assert load_classifier(weights).architecture.backbone == "timm/convnext_atto"
    summary = json.loads((empty.root / "reports" / "extended" / "summary.json").read_text())
    assert summary["with_atto"].keys() >= {"psnr", "accuracy"}


def run_study(clone: Clone) -> Path:
    """The page's study at a tiny size, with one experiment and no sweep; the folder of its outputs."""
    sizes = {f"train_sr.charbonnier.{key}": value for key, value in SMALL.items()}
    overrides = ["study=extended", "~classify.gamma", "~classify.charbonnier", *(f"{k}={v}" for k, v in sizes.items())]
    targets = ["quality@gamma", "quality@charbonnier", "classify@with_atto"]
    chosen = [part for override in overrides for part in ("-S", override)]
    stages = stages_run(clone.run("dvc", "exp", "run", *tiny([]), *chosen, *targets))
    assert {"prepare", "degrade", "train_sr@charbonnier", "upscale@gamma", *targets} <= stages
    clone.run("leukosr", "report")
    return clone.root / "outputs" / "extended"
