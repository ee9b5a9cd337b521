"""Where the files of a study lie. Every stage asks here; no path is written twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leukosr.errors import LeukoError


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
        """Which image plays which role."""
        return self.root / "manifest.csv"

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
        """Weights and measurements of one SR training."""
        return self.root / "sr" / method

    def arm(self, arm: str) -> Path:
        """The images of one arm, `<id>.png`."""
        return self.root / "arms" / arm

    def quality(self, arm: str) -> Path:
        """Image quality of one arm."""
        return self.root / "quality" / arm

    def classify(self, arm: str, protocol: str) -> Path:
        """Predictions and figures of one arm's classifiers."""
        return self.root / "classify" / arm / protocol

    @property
    def sweep(self) -> Path:
        """Trials of the sweep and what they say of variance."""
        return self.root / "sweep"

    @property
    def report(self) -> Path:
        """The report page and its figures."""
        return self.reports / self.study


def image_file(folder: Path, image_id: str) -> Path:
    """The PNG of one image below `folder`; not `with_suffix`, an id may hold dots."""
    return folder / f"{image_id}.png"


def require(path: Path, target: str) -> Path:
    """`path`, or a LeukoError that names the `dvc repro` target which makes it."""
    if not path.exists():
        raise LeukoError(f"{path} does not exist yet: run `dvc repro {target}`")
    return path
