"""A study of images that somebody brought: its file, its split, and what its test part can show."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leukosr.config import Params
from leukosr.config.load import parse_params
from leukosr.data.adding import Added, study_name
from leukosr.data.catalogue import Checked, find_images, folders_of_all, unused_folders
from leukosr.data.manifest import Row, is_tested, make_rows
from leukosr.data.parts import are_parts, flat_parts, is_validation, part_folders
from leukosr.data.separation import refuse_trained_tests, trained_sources
from leukosr.data.settings import Folders, Prepare
from leukosr.data.sizes import size_words, study_size
from leukosr.data.sources import NAME as SOURCES
from leukosr.data.split_table import NAME as SPLIT
from leukosr.data.splits import SPLITS, check_claims, study_roles
from leukosr.data.splits.shares import Candidate, candidates
from leukosr.data.splits.suited import RANDOM, not_followed, suited, without_source
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pilot import assumed
from leukosr.evaluate.arms.plan import Question, Size, plan
from leukosr.evaluate.arms.significance import LEAST_RUNS, LEAST_SOURCES
from leukosr.files import new_file
from leukosr.quoting import counted, listed
from leukosr.report.verdicts import study_pairs

CONF = Path("conf")
SCALE = 4
LONGEST = 512  # pixels of an HR side, where the files are larger: beyond it a CPU takes days
DISAGREE = 1 / 6  # of cells, on which one of two arms is wrong: 17 % in results/case1-leakage, by micrograph
BUDGET = "smoke"  # of the first run

TEXT = """\
# @package _global_
# Written by LeukoSR for the images in datasets/{folder}; change what you like (docs/studies.md).
defaults:
  - /degrade: capstone_gaussian   # or second_order, bicubic
  - /arms: [raw, bicubic, srgan, real_esrgan, ground_truth]
  - _self_
study: {{name: {name}, title: {title}, protocol: {protocol}{measures}}}
prepare: {{root: datasets/{folder}{parts}, classes: {classes}}}
image: {{height: {height}, width: {width}, scale: {scale}}}   # {sizes}
"""
SR_ALONE = """\
classify: ${oc.create:{}}     # the images have no class
sweep: {target: train_sr}
"""


class Uncomposed(LeukoError):
    """No study can be composed here, whatever the images."""


@dataclass(frozen=True)
class OwnStudy:
    """A study as it is written, and what `prepare` makes of its images.

    rows: the images with their roles where the budget leaves none out. first: the same of the first run.
    sizes: how HR came about. refused: what keeps the images from stricter protocols. unused: folders that the study
    does not use, and how many images lie there. alike: the folders that every class folder holds, where all hold the
    same.
    """

    params: Params
    text: str
    rows: Sequence[Row]
    first: Sequence[Row]
    sizes: str
    refused: Sequence[str]
    unused: Sequence[str]
    unused_images: int
    alike: Sequence[str]

    @property
    def classes(self) -> str:
        """How many images each class has, of each part where the set has parts; empty without classes."""
        counts = Counter(row.label for row in self.rows if row.label)
        return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

    def sentences(self) -> Iterator[str]:
        """What was chosen, how many images are tested, and what these can show."""
        image, protocol = self.params.image, self.params.study.protocols[0]
        yield (
            f"{study_file(self.params.study.name)}: HR {image.height}x{image.width} ({self.sizes}), "
            f"LR {image.height // image.scale}x{image.width // image.scale}, protocol {protocol} "
            f"({SPLITS[protocol].words})"
        )
        if (tested := self.params.prepare.test) is not None and is_validation(tested):
            yield f"tested on the folder {tested}, as there is none for test"
        yield from (f"not under {sentence}" for sentence in self.refused)
        yield from trained_sources(self.rows, protocol)
        if self.alike:
            hint = (
                "a split.csv keeps these parts"
                if are_parts(self.alike)
                else "should these be the classes? Name patients in a sources.csv"
            )
            yield f"each class folder holds the same folders ({listed(self.alike, 5)}): {hint}"
        if self.unused:
            which = f"{', '.join(self.unused)}, {counted(self.unused_images, 'image')}"
            yield f"not used: {which} (a split.csv can say which images are train, val and test)"
        whole, first = (Counter(row.label for row in rows) for rows in (self._tested(), self._tested(self.first)))
        each = [f"{name or 'images'} {count} ({first[name]})" for name, count in sorted(whole.items())]
        yield f"test images (of them in a first run, budget {BUDGET}): {', '.join(each)}"
        if self.params.study.classifies:
            yield from self._alone(self._tested())
            yield self._concluded(self._tested())
        yield f"to keep it: git add {self.params.prepare.root}.dvc {study_file(self.params.study.name)}"
        yield f"next: dvc exp run -S study={self.params.study.name} -S budget={BUDGET}"

    def _tested(self, rows: Sequence[Row] | None = None) -> list[Row]:
        protocol = self.params.study.protocols[0]
        return [row for row in (self.rows if rows is None else rows) if is_tested(row, protocol)]

    def _alone(self, tested: Sequence[Row]) -> Iterator[str]:
        """Of each class: whether one image, or one source, is all that it is tested on."""
        for label in sorted({row.label for row in tested}):
            own = [row for row in tested if row.label == label]
            what = "image" if len(own) == 1 else "source"
            if len(own) == 1 or len({row.source or row.id for row in own}) == 1:
                yield (
                    f"class {label} is tested on one {what}, which does not show how far its score varies: add more "
                    f"{what}s of it"
                )

    def _concluded(self, tested: Sequence[Row]) -> str:
        """What the test part can show, whatever the runs."""
        unknown, sources = sum(not row.source for row in tested), len({row.source for row in tested})
        if unknown:
            return (
                f"every verdict will be inconclusive: {unknown} of {len(tested)} test images name no source, so copies "
                f"of one may count as many; {self._name_sources()}"
            )
        if sources < LEAST_SOURCES:
            return (
                f"every verdict will be inconclusive: the test has {counted(sources, 'source')}, and a verdict takes "
                f"{LEAST_SOURCES}; add test images of more micrographs or patients"
            )
        family = len(study_pairs(self.params))
        question, at = Question(self.params.study.margin, self.params.study.margin, family), Size(LEAST_RUNS, sources)
        found = plan(assumed(sources=DISAGREE, seen=sources), question, [at], at).smallest_difference_with_infinite_runs
        size = ", however large," if found is None else f" below {100 * found:.0f} points of accuracy"
        return (
            f"with {sources} test sources and {counted(family, 'comparison')} no difference{size} is found with "
            f"{100 * question.aim:.0f} % power, if two arms disagree on one cell in {1 / DISAGREE:.0f}; after a first "
            "run `leukosr plan` says it by your own figures"
        )

    def _name_sources(self) -> str:
        """What to do where test images name no source; beside a sources.csv none are found."""
        if Path(self.params.prepare.root, SOURCES).is_file():
            return f"fill the empty cells of {SOURCES}, or add the set without it"
        return (
            f"name micrographs or patients in a {SOURCES}, or let the study find copies with "
            "-S study.protocol=source_disjoint"
        )

    def write(self) -> None:
        """Write the file of the study. Raises LeukoError where there is one."""
        name = self.params.study.name
        refuse_known_study(name)
        with new_file(study_file(name)) as temporary:
            temporary.write_text(self.text, encoding="utf-8")


def study_file(study: str) -> Path:
    """The file of a study."""
    return CONF / "study" / f"{study}.yaml"


def refuse_known_study(study: str, remedy: str = "choose another name, or leave out --study") -> None:
    """Raise LeukoError where there is a study of that name."""
    if study_file(study).exists():
        raise LeukoError(f"{study_file(study)} exists already: {remedy}")


def own_study(folder: str, added: Added, *, classifies: bool = True) -> OwnStudy:
    """The study of a set in datasets/FOLDER, under the strictest protocol that its images allow.

    A set with training and test parts keeps them (official); one whose sources are known keeps these apart
    (source_disjoint, or patient_disjoint where they show several classes or are few); any other is split at random
    (random_80_10_10). Raises LeukoError where `prepare` would refuse the images, and Uncomposed outside a clone of
    LeukoSR.
    """
    root = Path("datasets", folder)
    train, test = (not (root / SPLIT).exists() and part_folders(root)) or (None, None)
    folders = Folders(root=f"datasets/{folder}", train=train, test=test, reference=None, classes=None)
    found = {item.path: item for item in find_images(folders, classifies)}
    good = [Checked(found[each.file.path], each.width, each.height) for each in added.good if each.file.path in found]
    items = candidates(good, added.sources)
    refused = [*not_followed(items), *([] if classifies else flat_parts(root))]
    for protocol in suited(items):
        if protocol == RANDOM:
            refused += without_source(items)
        text = _text(folder, folders, items, protocol, classifies)
        params = composed(study_name(folder), text)
        try:
            rows, first = (_rows(items, params, each) for each in (_without_limits(params.prepare), params.prepare))
        except LeukoError as error:
            refused.append(f"{protocol}: {error}")
            continue
        sizes, left = size_words(items, LONGEST, SCALE), len(added.good) - len(good)
        unused, alike = unused_folders(folders, found.values()), folders_of_all(Path(folders.root), found.values())
        return OwnStudy(params, text, rows, first, sizes, refused, unused, left, alike)
    raise LeukoError(refused[-1])


def _text(folder: str, folders: Folders, items: Sequence[Candidate], protocol: str, classifies: bool) -> str:
    labels = sorted({item.label for item in items}) if classifies else []
    kinds = f"{counted(len(labels), 'class', 'classes')}, " if classifies else ""
    height, width = study_size(items, LONGEST, SCALE)
    text = TEXT.format(
        folder=folder,
        name=_quoted(study_name(folder)),
        title=_quoted(f"{folder}: {kinds}{counted(len(items), 'image')}"),
        protocol=protocol,
        measures="" if classifies else ", measures: [image_quality]",
        parts=parts_text(folders),
        classes=_quoted(labels) if classifies else "null",
        height=height,
        width=width,
        scale=SCALE,
        sizes=size_words(items, LONGEST, SCALE),
    )
    return text if classifies else text + SR_ALONE


def parts_text(folders: Folders) -> str:
    """The folders of the training and the test part as a study names them after `root`; empty where there are none."""
    return "" if folders.train is None else f", train: {_quoted(folders.train)}, test: {_quoted(folders.test)}"


def _quoted(value: Any) -> str:
    """A value as YAML, which takes no name of a folder for a number, a truth value or a comment.

    Raises LeukoError for an interpolation: resolved twice on the way to params.yaml, it cannot be escaped.
    """
    text = json.dumps(value, ensure_ascii=False)
    if "${" in text:
        raise LeukoError(f"{text} holds ${{, which a study reads as a reference: rename the folder")
    return text


def _without_limits(settings: Prepare) -> Prepare:
    limits = settings.per_class.model_copy(update={"sr_train": None, "classifier": None, "reference": None})
    return settings.model_copy(update={"per_class": limits})


def _rows(items: Sequence[Candidate], params: Params, settings: Prepare) -> list[Row]:
    """The images with their roles, as `prepare` gives and checks them."""
    study = params.study
    rows = make_rows(items, study_roles(items, settings, study.seed, study.protocols, study.classifies))
    check_claims(rows, study.protocols)
    refuse_trained_tests(rows, study)
    return rows


def composed(study: str, text: str) -> Params:
    """What DVC composes of conf/ and the text of a study that has no file yet, at the budget of the first run.

    Raises Uncomposed outside a clone of LeukoSR and where conf/ cannot be composed, LeukoError for values that are not
    allowed.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not (CONF / "config.yaml").is_file():
        raise Uncomposed(f"{CONF.absolute()} holds no config.yaml: run the command in a clone of LeukoSR")
    option = f"proposed_{study}"  # beside the files of the project, where a study may have the name
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(CONF.absolute()), version_base=None):
        file = Path(folder, "study", f"{option}.yaml")
        file.parent.mkdir()
        file.write_text(text, encoding="utf-8")
        overrides = [f"hydra.searchpath=[file://{folder}]", f"study={option}", f"budget={BUDGET}"]
        try:
            config = compose("config", overrides=overrides)
            OmegaConf.resolve(config)
        except (HydraException, OmegaConfBaseException) as error:
            words = " ".join(str(error).split())[:300]
            raise Uncomposed(f"{CONF}/ cannot be composed with a study of these images: {words}") from None
        return parse_params(OmegaConf.to_container(config), str(study_file(study)))
