"""The page of a set's sources: a summary, and every group as a strip of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from leukosr.data.provenance.facts import Facts
from leukosr.files import new_file
from leukosr.images.reading import read_rgb
from leukosr.report.pictures import data_uri
from leukosr.report.style import SEQUENCE, new_figure
from leukosr.report.template import template

THUMB = 96
SHOWN_IMAGES = 12
SHOWN_GROUPS = 400
LISTED = 1000  # copies and contradictions that are named; summary.json has all


def write_provenance_page(folder: Path, root: Path, facts: Facts, confidence: Mapping[str, float], title: str) -> Path:
    """Write index.html, groups.png (sizes) and strips/<source>.jpg into `folder`; returns the page."""
    sizes = {name: len(images) for name, images in facts.groups.items()}
    size_figure(folder / "groups.png", list(sizes.values()))
    order = sorted(facts.groups, key=lambda name: (name not in facts.conflicts, -sizes[name], name))
    chosen = [name for name in order if sizes[name] > 1][:SHOWN_GROUPS]
    for name in chosen:
        strip(folder / "strips" / f"{name}.jpg", [root / image for image in _spread(facts.groups[name])])
    page = template("provenance.html.j2").render(
        title=title,
        facts=facts,
        listed=LISTED,
        images=sum(sizes.values()),
        alone=sum(size == 1 for size in sizes.values()),
        largest=max(sizes.values()),
        figure=data_uri(folder / "groups.png", photo=False),
        strips=[
            {
                "name": name,
                "size": sizes[name],
                "least": min(confidence[image] for image in facts.groups[name]),
                "conflict": facts.conflicts.get(name),
                "images": _spread(facts.groups[name]),
            }
            for name in chosen
        ],
        grouped=sum(size > 1 for size in sizes.values()),
        thumb=THUMB,
    )
    with new_file(folder / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    return folder / "index.html"


def size_figure(path: Path, sizes: list[int]) -> None:
    """How many sources have how many images."""
    counts = Counter(sizes)
    with new_figure(path, 5.8, 2.4, f"{sum(sizes):,} images, {len(sizes):,} sources") as figure:
        panel = figure.subplots()
        panel.bar(list(counts), list(counts.values()), width=0.9, color=SEQUENCE[0])
        panel.set_xlabel("images of one source")
        panel.set_ylabel("sources")
        panel.grid(True, axis="y")


def _spread(images: tuple[str, ...]) -> list[str]:
    """At most SHOWN_IMAGES of a group, taken evenly."""
    picked = np.linspace(0, len(images) - 1, min(SHOWN_IMAGES, len(images))).round().astype(int)
    return [images[i] for i in dict.fromkeys(picked.tolist())]


def strip(path: Path, images: list[Path]) -> None:
    """The images side by side, each fitted into a square."""
    row = Image.new("RGB", (THUMB * len(images), THUMB), "white")
    for place, image in enumerate(images):
        shown = Image.fromarray(read_rgb(image))
        shown.thumbnail((THUMB - 2, THUMB - 2), Image.Resampling.LANCZOS)
        row.paste(shown, (place * THUMB + (THUMB - shown.width) // 2, (THUMB - shown.height) // 2))
    with new_file(path) as temporary:
        row.save(temporary, format="JPEG", quality=85, optimize=True)
