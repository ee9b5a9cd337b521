"""Check every image and give each its role."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rich.console import Console

from leukosr.config import Params, Prepare
from leukosr.data.catalogue import Checked, Rejected, check_images, find_images, unused_folders
from leukosr.data.manifest import check_disjoint, make_rows, write_manifest, write_rejected
from leukosr.data.source_disjoint import source_disjoint_roles
from leukosr.data.sources import read_sources
from leukosr.data.splits import outside_sr, paper_roles, training_images, with_fewer
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.processes import ALONE, Processes
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.images.reading import ImageFacts, inspect_image
from leukosr.report.figures import budget_note, class_distribution
from leukosr.tables import read_own_table

SHOWN = 20


def run(params: Params, console: Console, out: Path, processes: Processes = ALONE) -> None:
    """Write manifest.csv, rejected.csv and the figure of classes by role into `out`.

    Several processes each check the files that they own.
    """
    settings = params.prepare
    root = Path(settings.root)
    found = find_images(settings)
    if processes.first and (unused := unused_folders(settings, found)):
        console.print(f"prepare: not of the set: {', '.join(unused)} (no class folder or part that params.yaml names)")
    workers = count_workers(params.runtime.workers)
    look = partial(inspect_image, max_pixels=settings.max_pixels)

    def inspect_all(paths: list[Path]) -> list[ImageFacts]:
        own = [path for path in paths if processes.owns(path.as_posix())]
        facts = track(ordered_map(look, own, workers), len(own), "checking images")
        facts_of = dict(processes.gather(list(zip(own, facts, strict=True))))
        return [facts_of[path] for path in paths]

    good, rejected = check_images(root, found, settings.max_pixels, inspect_all)
    _refuse(rejected, settings)
    if not processes.first:
        return
    disjoint_too = "source_disjoint" in params.study.protocols
    sources = read_sources(root, good, Path(settings.sources) if disjoint_too else None)
    for note in sources.notes:
        console.print(f"prepare: {note}")
    paper, disjoint = _roles(good, sources.by_image, params)
    rows = make_rows(good, sources.by_image, paper, disjoint)
    if disjoint_too:
        check_disjoint(rows)
    manifest = out / "manifest.csv"
    write_manifest(manifest, rows)
    write_rejected(out / "rejected.csv", rejected)
    table = read_own_table(manifest)
    role = f"role_{params.study.protocols[0]}"
    class_distribution(out / "distribution.png", table, budget_note(params.budget), role)
    for protocol in params.study.protocols:
        counts = Counter(row.role(protocol) or "unused" for row in rows)
        shown = ", ".join(f"{count} {role}" for role, count in sorted(counts.items()))
        under = f"{protocol}: " if len(params.study.protocols) > 1 else ""
        console.print(f"prepare: {len(rows)} images ({under}{shown}), {len(rejected)} left out -> {manifest}")


def _roles(good: list[Checked], sources: Mapping[str, str], params: Params) -> tuple[dict[str, str], dict[str, str]]:
    """The roles under the protocols of the study, empty for one that is not asked for."""
    settings, seed, protocols = params.prepare, params.study.seed, params.study.protocols
    if "source_disjoint" not in protocols:
        return paper_roles(good, settings, seed), {}
    if not sources:
        raise LeukoError(
            f"the sources of the images in {settings.root} are not known: `dvc repro prepare` finds them first"
        )
    disjoint = source_disjoint_roles(good, sources, settings, seed)
    if "paper" not in protocols:
        return {}, disjoint
    paper = paper_roles(outside_sr(good, disjoint), settings, seed)
    # as many training images under both, so that the split alone differs
    counts = training_images(good, paper)
    disjoint = source_disjoint_roles(good, sources, settings, seed, counts)
    allowed = training_images(good, disjoint, settings.source_disjoint.folds)
    return with_fewer(good, paper, allowed, seed), disjoint


def _refuse(rejected: list[Rejected], settings: Prepare) -> None:
    """Stop on files that cannot be used, unless they may be left out."""
    if not rejected or settings.bad_images == "leave_out":
        return
    first = "; ".join(f"{item.path} {item.reason}" for item in rejected[:SHOWN])
    more = f"; and {len(rejected) - SHOWN} more" if len(rejected) > SHOWN else ""
    raise LeukoError(
        f"{len(rejected)} files of {settings.root} cannot be used: {first}{more}. Mend or remove them, or set "
        "prepare.bad_images to leave_out"
    )
