"""Check every image and give each its role."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from leukosr.config import Prepare
from leukosr.data.catalogue import Rejected, check_images, find_images, unusable, unused_folders
from leukosr.data.contradictions import other_than_folders
from leukosr.data.manifest import make_rows, write_manifest, write_rejected
from leukosr.data.mask_files import masks_of
from leukosr.data.separation import refuse_trained_tests
from leukosr.data.sources import read_sources
from leukosr.data.splits import SPLITS, check_claims, study_roles
from leukosr.data.splits.shares import candidates
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.engine.progress import track
from leukosr.images.reading import ImageFacts
from leukosr.report.charts import class_distribution
from leukosr.report.style import budget_note
from leukosr.stages.checking import inspector
from leukosr.stages.context import Context


def run(context: Context) -> None:
    """Write manifest.csv, roles.csv, rejected.csv and the figure of classes by role.

    Several processes each check the files that they own.
    """
    params, console, processes = context.params, context.console, context.processes
    settings = params.prepare
    root = Path(settings.root)
    study = params.study
    found = find_images(settings, study.classifies)
    if processes.first and (unused := unused_folders(settings, found)):
        console.print(f"prepare: not of the set: {', '.join(unused)} (no class folder or part that params.yaml names)")
    workers = count_workers(params.runtime.workers)
    look = inspector(settings)

    def inspect_all(paths: list[Path]) -> list[ImageFacts]:
        own = [path for path in paths if processes.owns(path.as_posix())]
        facts = track(ordered_map(look, own, workers), len(own), "checking images")
        facts_of = dict(processes.gather(list(zip(own, facts, strict=True))))
        return [facts_of[path] for path in paths]

    good, rejected = check_images(root, found, settings.max_pixels, inspect_all)
    _refuse(rejected, settings)
    if not processes.first:
        return
    keeps_apart = any(SPLITS[protocol].disjoint for protocol in study.protocols)
    # a study that neither finds nor needs sources must not stop at the table of another set, left by an edited root
    used = bool(params.provenance) or settings.pool is not None or keeps_apart
    sources = read_sources(root, good, Path(settings.sources) if used else None, settings.source_pattern)
    for note in (*sources.notes, *other_than_folders(root, [image.file for image in good])):
        console.print(f"prepare: {note}")
    items = candidates(good, sources.by_image, masks_of(root, good))
    rows = make_rows(items, study_roles(items, settings, study.seed, study.protocols, study.classifies))
    check_claims(rows, study.protocols)
    if params.train_sr:
        refuse_trained_tests(rows, study)
    out = context.out or context.layout.root
    manifest = out / "manifest.csv"
    write_manifest(manifest, rows)
    write_rejected(out / "rejected.csv", rejected)
    class_distribution(out / "distribution.png", rows, budget_note(params.budget), study.protocols[0])
    for protocol in study.protocols:
        counts = Counter(row.role(protocol) or "unused" for row in rows)
        shown = ", ".join(f"{count} {role}" for role, count in sorted(counts.items()))
        under = f"{protocol}: " if len(study.protocols) > 1 else ""
        console.print(f"prepare: {len(rows)} images ({under}{shown}), {len(rejected)} left out -> {manifest}")


def _refuse(rejected: list[Rejected], settings: Prepare) -> None:
    """Stop on files that cannot be used, unless they may be left out."""
    if not rejected or settings.bad_images == "leave_out":
        return
    raise unusable(rejected, settings.root, "set prepare.bad_images to leave_out")
