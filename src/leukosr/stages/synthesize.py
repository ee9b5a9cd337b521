"""Draw a synthetic set of smears."""

from __future__ import annotations

from pathlib import Path

from leukosr.data.synthetic.smears import CLASSES, write_demo
from leukosr.engine.progress import progress
from leukosr.errors import LeukoError
from leukosr.quoting import counted, meant
from leukosr.stages.context import Context


def run(context: Context, name: str) -> None:
    """Draw the set `name` of params.synthesize into its folder."""
    sets = context.params.synthesize
    if name not in sets:
        known = ", ".join(sets) or "none in this study"
        raise LeukoError(f"unknown set '{name}'; known are {known}{meant(name, sets)}")
    wanted = sets[name]
    folder = context.out or Path(wanted.folder)
    sources = len(CLASSES) * (wanted.train_sources + wanted.test_sources)
    with progress(sources * wanted.views, "drawing smears") as advance:
        count = write_demo(folder, wanted, progress=lambda *_: advance(1, ""))
    context.console.print(f"synthesize: {counted(count, 'image')} of {counted(sources, 'source')} -> {folder}")
