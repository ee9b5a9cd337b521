"""Find which images of a folder show the same source."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console

import leukosr.data.provenance
from leukosr.data.catalogue import MOST_PIXELS, check_images, find_images
from leukosr.data.provenance.facts import Facts, folder_labels, folder_splits, gather_facts, name_sources
from leukosr.data.provenance.geometry import Limits
from leukosr.data.provenance.search import find_sources
from leukosr.data.splits.paper import searched_images
from leukosr.data.splits.shares import candidates
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import new_file, new_folder, write_json
from leukosr.images.listing import TABLES, list_files
from leukosr.images.reading import ImageFacts, inspect_image
from leukosr.outputs import claimed
from leukosr.quoting import counted, require_folder, visible
from leukosr.report.provenance_page import write_provenance_page
from leukosr.stages.checking import inspector
from leukosr.stages.context import Context
from leukosr.tables import write_frame, write_table

STATE = Path(".leukosr/resume")
SHOWN = 20


@dataclass(frozen=True)
class Listed:
    """The images to search (paths below `root`) with what only the page tells of them, and the files left out."""

    root: Path
    images: list[str]
    labels: list[str]
    splits: list[str]
    rejected: list[tuple[str, str]]


@dataclass(frozen=True)
class Search:
    """How images are searched, whoever asks: local features per image, and images compared with each one per round.

    Finished parts of cut work are kept in `state`.
    """

    limits: Limits = field(default_factory=Limits)
    max_features: int = 400
    neighbours: int = 8
    state: Path = STATE


def run(context: Context, name: str) -> None:
    """Find the sources of the images that the study's budget can use."""
    params, out = context.params, context.out or context.layout.provenance
    _refuse_out(Path(params.prepare.root), out)
    if name not in params.provenance:
        raise LeukoError(
            f"this study has no search '{name}': its protocol is {params.study.protocol_name}; set "
            f"study.protocol to one of find_sources, {', '.join(params.sought_protocols)}, or name a folder to search"
        )
    settings = params.provenance[name]
    found = find_images(settings, params.study.classifies)
    look = inspector(settings)
    workers = count_workers(params.runtime.workers)

    def inspect_all(paths: list[Path]) -> list[ImageFacts]:
        return list(track(ordered_map(look, paths, workers), len(paths), "checking images"))

    root = Path(settings.root)
    good, rejected = check_images(root, found, settings.max_pixels, inspect_all)
    wanted = searched_images(candidates(good, {}), settings.per_class, settings.sr_fraction, settings.seed)
    used = sorted((image.file for image in good if image.file.image_id in wanted), key=lambda found: found.path)
    listed = Listed(
        root,
        [found.path for found in used],
        [found.label for found in used],
        ["" if found.part == "all" else found.part for found in used],
        [(item.path, item.reason) for item in rejected],
    )
    search = Search(settings.limits, settings.max_features, settings.neighbours)
    _find(listed, out, context.console, search, workers, params.study.title)


def run_folder(root: Path, out: Path, console: Console, search: Search) -> None:
    """Find the sources of all images below any folder, whatever their names.

    Raises LeukoError where there are fewer than two images, or `out` holds something else.
    """
    require_folder(root, "name the folder that holds the images")
    _refuse_out(root, out)
    workers = count_workers("auto")
    with claimed(out, "provenance"):
        images, rejected = _readable(root, workers)
        splits, notes = folder_splits(root, images)
        for note in notes:
            console.print(f"provenance: {note}")
        listed = Listed(root, images, folder_labels(images), splits, rejected)
        title = f"Sources of {root.resolve().name}"
        _find(listed, out, console, search, workers, title)


def _refuse_out(root: Path, out: Path) -> None:
    """`out` is replaced as a whole, so no image may lie in it."""
    inside, around = out.resolve(), root.resolve()
    if inside == around or inside in around.parents or around in inside.parents:
        raise LeukoError(f"{out} and the images in {root} overlap: name a folder elsewhere")


def _find(listed: Listed, out: Path, console: Console, search: Search, workers: int, title: str) -> None:
    """Write sources.csv (`image, source, confidence`), rejected.csv, summary.json and the page into `out`."""
    root, images = listed.root, listed.images
    for name, reason in listed.rejected[:SHOWN]:
        console.print(f"left out: {name} {reason}")
    if len(listed.rejected) > SHOWN:
        console.print(f"left out: {len(listed.rejected) - SHOWN} more, listed in rejected.csv")
    if len(images) < 2:
        usable, left = counted(len(images), "usable image"), len(listed.rejected)
        raise LeukoError(f"{root} holds {usable}, at least 2 are needed ({left} left out)")
    paths = [root / image for image in images]
    counts = {"max_features": search.max_features, "neighbours": search.neighbours}
    work = search.state / _digest(paths, {**search.limits.model_dump(), **counts})
    sources = find_sources(paths, work, search.limits, **counts, workers=workers)
    facts = gather_facts(images, sources, listed.labels, listed.splits)
    with new_folder(out) as folder:
        table = pd.DataFrame({"image": images, "source": name_sources(sources.group), "confidence": sources.confidence})
        with new_file(folder / "sources.csv") as file:
            write_frame(file, table, float_format="%.4f")
        with new_file(folder / "rejected.csv") as file:
            write_table(file, ("path", "reason"), listed.rejected)
        write_json(folder / "summary.json", summary(facts))
        confidence = dict(zip(images, sources.confidence.tolist(), strict=True))
        write_provenance_page(folder, root, facts, confidence, title)
    shutil.rmtree(work, ignore_errors=True)
    for shared in facts.shared:
        console.print(f"provenance: {shared.sentence}")
    if facts.bare:
        console.print(f"provenance: {facts.doubt}")
    console.print(
        f"provenance: {len(images)} images show {counted(len(facts.groups), 'source')}, {len(listed.rejected)} left "
        f"out, {counted(len(facts.conflicts), 'source')} with more than one label -> {out / 'index.html'}"
    )


def summary(facts: Facts) -> dict[str, object]:
    """The facts as plain numbers and names; `near_duplicates` are linked pairs alone, not all pairs of a source."""
    return {
        "images": sum(map(len, facts.groups.values())),
        "sources": len(facts.groups),
        "alone": sum(len(images) == 1 for images in facts.groups.values()),
        "exact_duplicates": [list(found) for found in facts.exact],
        "near_duplicates": [list(pair) for pair in facts.near],
        "too_few_features": list(facts.bare),
        "label_conflicts": {name: dict(labels) for name, labels in facts.conflicts.items()},
        "shared": [asdict(each) for each in facts.shared],
    }


def _readable(root: Path, workers: int) -> tuple[list[str], list[tuple[str, str]]]:
    """The images below `root` that can be used, and the others with the reason."""
    files = [file for file in list_files(root) if file.path.parent != root or file.path.name not in TABLES]
    look = partial(inspect_image, max_pixels=MOST_PIXELS)
    paths = [file.path for file in files if file.reason is None]
    facts = dict(zip(paths, track(ordered_map(look, paths, workers), len(paths), "checking images"), strict=True))
    reasons = [file.reason or facts[file.path].reason for file in files]
    names = [file.path.relative_to(root).as_posix() for file in files]
    good = [name for name, reason in zip(names, reasons, strict=True) if reason is None]
    bad = [(visible(name), reason) for name, reason in zip(names, reasons, strict=True) if reason is not None]
    return good, bad


def _digest(paths: Sequence[Path], settings: dict[str, float]) -> str:
    """Names the work by its images, settings and code, so that cut work is only continued by the same."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    code = sorted(Path(leukosr.data.provenance.__path__[0]).glob("*.py"))
    for path in [*code, *paths]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return f"provenance-{digest.hexdigest()[:24]}"
