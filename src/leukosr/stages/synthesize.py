"""Draw a synthetic set of smears."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from leukosr.config import Params
from leukosr.data.synthetic.smears import CLASSES, write_demo
from leukosr.engine.progress import progress
from leukosr.errors import LeukoError


def run(params: Params, name: str, console: Console, out: Path | None = None) -> None:
    """Draw the set `name` of params.synthesize into its folder."""
    if name not in params.synthesize:
        known = ", ".join(params.synthesize) or "none in this study"
        raise LeukoError(f"synthesize: unknown set '{name}'; known are {known}")
    wanted = params.synthesize[name]
    folder = out or Path(wanted.folder)
    sources = len(CLASSES) * (wanted.train_sources + wanted.test_sources)
    with progress(sources * wanted.views, "drawing smears") as advance:
        count = write_demo(folder, wanted, progress=lambda *_: advance(1, ""))
    console.print(f"synthesize: {count} images of {sources} sources -> {folder}")
