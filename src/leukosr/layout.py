"""Where the files of a study lie. Every stage asks here; no path is written twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leukosr.errors import LeukoError
from leukosr.quoting import absent

PRETRAINED = Path("pretrained")  # published weights, and those that people bring
OWN_WEIGHTS = (".safetensors",)  # as LeukoSR writes them, and the only ones of classifiers
WEIGHTS = (*OWN_WEIGHTS, ".pth", ".pt")  # also those of other frameworks, for generators


def weight_file(word: str | Path) -> Path:
    """The file that names weights: pretrained/NAME.safetensors for `pretrained/NAME`; any other path is itself."""
    path = Path(word)
    return path.with_name(f"{path.name}.safetensors") if path.parent == PRETRAINED and not path.suffix else path


def require_file(word: str | Path) -> Path:
    """The path of weights if it is a file that may be read, whatever its ending.

    Raises LeukoError where it is missing or something else.
    """
    path = Path(word)
    if not os.path.exists(path):  # False, too, for a name that is too long
        raise absent(path, "name a weight file")
    if not path.is_file():
        raise LeukoError(f"{path} is {'a folder' if path.is_dir() else 'not a regular file'}: name a weight file")
    if not os.access(path, os.R_OK):
        raise LeukoError(f"the weights {path} cannot be read: you may not; make the file readable for you")
    return path


def require_weights(word: str | Path, endings: Sequence[str] = WEIGHTS) -> Path:
    """The same for weights that are read here: the file's name must have one of the endings."""
    path = require_file(word)
    if path.suffix not in endings:
        *others, last = endings
        allowed = f"{', '.join(others)} or {last}" if others else last
        raise LeukoError(f"{path} is not a weight file that can be used here: name one that ends in {allowed}")
    return path


def of_network(name: str, network: int | str | None) -> str:
    """What a training, or an arm by one, is called for one SR seed, NAME/seed-K, or fold, NAME/fold_K.

    NAME where it is trained once.
    """
    return name if network is None else f"{name}/{network if isinstance(network, str) else f'seed-{network}'}"


@dataclass(frozen=True)
class Layout:
    """The files below `outputs/<study>` and `reports/<study>`."""

    study: str
    outputs: Path = Path("outputs")
    reports: Path = Path("reports")

    @property
    def root(self) -> Path:
        """Everything the stages before the report write."""
        return self.outputs / self.study

    @property
    def manifest(self) -> Path:
        """Which images there are."""
        return self.root / "manifest.csv"

    @property
    def roles(self) -> Path:
        """Which image plays which role."""
        return self.root / "roles.csv"

    @property
    def rejected(self) -> Path:
        """Files that are left out, with reasons."""
        return self.root / "rejected.csv"

    @property
    def provenance(self) -> Path:
        """The sources that were found, for studies whose protocol needs them."""
        return self.root / "provenance"

    @property
    def lr(self) -> Path:
        """Low-resolution images, `<id>.png`."""
        return self.root / "lr"

    def sr(self, method: str) -> Path:
        """Weights and measurements of one SR training, or of one SR seed of it (`of_network`)."""
        return self.root / "sr" / method

    def arm(self, arm: str) -> Path:
        """The images of one arm, or of one SR seed of it (`of_network`), `<id>.png` or `<id>.jpg`."""
        return self.root / "arms" / arm

    def quality(self, arm: str) -> Path:
        """Image quality of one arm."""
        return self.root / "quality" / arm

    def classify(self, experiment: str, protocol: str) -> Path:
        """Predictions and figures of one experiment's classifiers."""
        return self.root / "classify" / experiment / protocol

    @property
    def sweep(self) -> Path:
        """Trials of the sweep and what they say of variance."""
        return self.root / "sweep"

    @property
    def report(self) -> Path:
        """The report page and its figures."""
        return self.reports / self.study


def image_file(folder: Path, image_id: str) -> Path:
    """The file of one image below `folder`: its JPEG where there is one, else its PNG."""
    jpeg = new_image_file(folder, image_id, ".jpg")
    return jpeg if jpeg.is_file() else new_image_file(folder, image_id)


def new_image_file(folder: Path, image_id: str, suffix: str = ".png") -> Path:
    """Where one image is written below `folder`; not `with_suffix`, an id may hold dots."""
    return folder / f"{image_id}{suffix}"


MAPS = "maps"  # folder of an arm's images: the maps that its network predicted, `<id>.png` as masks


def require(path: Path, target: str) -> Path:
    """`path`, or a LeukoError that names the `dvc repro` target which makes it."""
    if not path.exists():
        raise LeukoError(f"{path} does not exist yet: run `dvc repro {target}`")
    return path


def require_all(paths: Sequence[Path], remedy: str) -> Sequence[Path]:
    """The paths, or a LeukoError that names the first one that is no file, counts the others and ends in `remedy`."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise LeukoError(f"{missing[0]} does not exist ({len(missing)} of {len(paths)} missing): {remedy}")
    return paths


RESTORE = "restore it (`dvc checkout`), or run `dvc repro prepare`"  # an original that the manifest lists


def stage_again(target: str) -> str:
    """The command that makes the output of a stage again, also where DVC takes it for complete."""
    return f"make it again with `dvc repro --force --single-item {target}`"
