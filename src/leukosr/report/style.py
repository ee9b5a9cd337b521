"""What all figures share: a colour and a name for each arm, the budget note, files without time stamps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from PIL import Image

from leukosr.config import ArmLook, Budget, Classifier, Params, Trained
from leukosr.files import new_file
from leukosr.images.reading import read_as_rgb
from leukosr.quoting import counted

# Okabe & Ito's colours (Color Universal Design, 2008), distinct for any kind of colour vision
SEQUENCE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")

_RC: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.usetex": False,
    "text.parse_math": False,  # a dollar sign in a name is not a formula
}


@dataclass(frozen=True)
class Look:
    """The displayed name of an arm, an experiment or a training, and its colour."""

    label: str
    colour: str


def arm_looks(params: Params) -> dict[str, Look]:
    """The look of every arm: its title and colour in params.report, else its name and the next colour not taken."""
    given = {name: params.report.looks.get(name, ArmLook()) for name in params.arms}
    free = free_colours({look.colour for look in given.values()})
    return {name: Look(look.title or _words(name), look.colour or next(free)) for name, look in given.items()}


def experiment_looks(params: Params) -> dict[str, Look]:
    """The look of every experiment: its arm's if that is alone and has its name; else as an arm's look is found.

    A title in params.report that an arm takes is not that of an experiment of its name on other arms.
    """
    arms = arm_looks(params)
    looks = params.report.looks
    given = {
        name: ArmLook() if name in arms else looks.get(name, ArmLook())
        for name, each in params.classify.items()
        if each.arms != (name,)
    }
    free = free_colours({look.colour for look in arms.values()} | {look.colour for look in given.values()})
    own = {name: Look(look.title or _words(name), look.colour or next(free)) for name, look in given.items()}
    return {name: own[name] if name in own else arms[name] for name in params.classify}


def training_look(params: Params, training: str) -> Look:
    """The look of the first arm that a training makes; its own name where there is none."""
    for name, arm in params.upscale.items():
        if isinstance(arm, Trained) and training in arm.used_trainings:
            return arm_looks(params)[name]
    return Look(_words(training), SEQUENCE[0])


def free_colours(taken: Set[str | None]) -> Iterator[str]:
    """The colours that nothing has taken, cyclically; all of them where none is left."""
    return cycle([colour for colour in SEQUENCE if colour not in taken] or SEQUENCE)


def _words(name: str) -> str:
    return name.replace("_", " ")


def size_text(height: int, width: int) -> str:
    """An image size as `height×width`."""
    return f"{height}×{width}"


def budget_note(budget: Budget) -> str:
    """The sentence under every figure: `<name> budget: <note>`, or `<name>: <note>` where the note says "budget"."""
    return budget_words(budget.name, budget.note)


def budget_words(name: str, note: str) -> str:
    """What `budget_note` says of a budget, e.g. of one that about.json names."""
    if note.lower().startswith(f"{name.lower()} budget"):
        return note
    return f"{name}{'' if ' budget' in note.partition(':')[0] else ' budget'}: {note}"


def merged_notes(notes: Sequence[str]) -> str:
    """Several budget notes as one that says each thing once, and last what all of them say.

    `one: CPU budget: narrow; probes` and `two: CPU budget: published; probes` give `one, two, CPU budget: narrow;
    published; probes`.
    """
    split = [note.rpartition(": ") for note in notes]
    heads = _each_once([head.split(": ") if head else [] for head, *_ in split])
    return f"{', '.join(heads)}: " * bool(heads) + "; ".join(_each_once([tail.split("; ") for *_, tail in split]))


def _each_once(lists: Sequence[Sequence[str]]) -> list[str]:
    shared = [each for each in lists[0] if all(each in own for own in lists)]
    others = [each for own in lists for each in own if each not in shared]
    return list(dict.fromkeys([*others, *shared]))


def training_words(recipe: Classifier) -> Iterator[str]:
    """The settings that may explain scores and spread."""
    yield counted(recipe.epochs, "epoch")
    yield {"constant": "constant learning rate", "cosine": "cosine decay", "plateau": "decay on plateaus"}[
        recipe.schedule
    ]
    if recipe.warm_up:
        yield "warm-up"
    if recipe.head.hidden:
        yield f"MLP head of {'-'.join(map(str, recipe.head.hidden))}"
    if recipe.head_start == "linear":
        yield "last layer from ±1/√inputs"
    if recipe.frozen != "none":
        yield f"{recipe.frozen.replace('_', ' ')} frozen"
    if recipe.normalisation != "imagenet":
        yield f"inputs {recipe.normalisation}"
    if recipe.norm_layers != "batch":
        yield f"{recipe.norm_layers.replace('_', ' ')} norm"
    if recipe.optimizer != "adam":
        yield recipe.optimizer
    for each in recipe.augmentations:
        amount = each.axis if each.kind == "flip" else f"{getattr(each, 'amount', getattr(each, 'strength', 0)):g}"
        yield f"{each.kind.replace('_', ' ')} {amount}"
    if recipe.patience is not None:
        yield f"stopped after {recipe.patience} epochs without a better validation loss"
    if recipe.keep == "best":
        yield "epoch of the best validation loss"
    if recipe.ema:
        yield "averaged weights"
    if recipe.ensemble > 1:
        yield f"{recipe.ensemble} classifiers per run"


class _PlainNumbers(LogFormatter):
    """Labels where matplotlib has them on a logarithmic axis; its own are formulas."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis, also between powers of ten if it spans few of them."""
    axis.set_major_formatter(_PlainNumbers())
    axis.set_minor_formatter(_PlainNumbers(minor_thresholds=(1, 0.4)))


@contextmanager
def new_figure(
    path: Path, width: float, height: float, note: str, dpi: int = 150, photo: bool = False
) -> Iterator[Figure]:
    """Yield a figure of `width` x `height` inches; then save it to `path` with `note` small at its foot.

    A chart is stored with a palette of 256 colours, several times smaller; a `photo` in full colour. The same content
    gives the same PNG bytes: no time stamp, no version, a fixed font. Raises LeukoError when `path` cannot be written.
    """
    with matplotlib.rc_context(_RC):
        lines = textwrap.wrap(note, max(24, int(width * 15)))
        foot = 0.15 * len(lines) + 0.08 if lines else 0.0
        figure = Figure(figsize=(width, height + foot), dpi=dpi, layout="constrained")
        FigureCanvasAgg(figure)
        share = foot / (height + foot)
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.set(rect=(0, share, 1, 1 - share))  # type: ignore[call-arg]
        yield figure
        figure.text(
            0.06 / width, 0.05 / (height + foot), "\n".join(lines), fontsize=8, color="#555555", va="bottom"
        ).set_in_layout(False)
        with new_file(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
            if not photo:
                palette = Image.fromarray(read_as_rgb(temporary)).quantize(256, dither=Image.Dither.NONE)
                palette.save(temporary, optimize=True)
