"""Cut the cell out of every image of an arm, or of the originals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from leukosr.config.extracted import cut_out_of, extracted_rows
from leukosr.data.manifest import Row, is_tested, read_manifest
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.evaluate.extraction import Agreement, ExtractorScores, agreement, extractor_scores
from leukosr.files import new_folder, write_json
from leukosr.images.extraction import EXTRACTORS, Cell
from leukosr.images.listing import TABLES, list_files
from leukosr.images.masks import read_mask
from leukosr.images.reading import read_rgb
from leukosr.layout import of_network
from leukosr.quoting import counted, listed, meant, require_folder
from leukosr.stages.context import Context
from leukosr.stages.image_files import write_image
from leukosr.tables import write_table

COLUMNS = ("image", "class", "status", "left", "top", "right", "bottom", "area")


def run(context: Context, name: str) -> None:
    """Write arms/<name>/<id>.png for every image that a classifier sees, extraction.csv and metrics.json.

    An image without a cell is kept whole, so that no test is made easier by what is hard to find; its row says
    not_found, and metrics.json counts it by class, and under each protocol among the test images. Cells of an arm with
    SR seeds lie in seed-<seed>/, and their rows have a column sr_seed.
    """
    params, layout = context.params, context.layout
    if name not in params.extract:
        known = listed(list(params.extract))
        raise LeukoError(f"unknown cells '{name}'; params.extract has {known}{meant(name, params.extract)}")
    settings, networks = params.extract[name], params.networks_of(name)
    rows = extracted_rows(params, read_manifest(layout.manifest), name)
    target = context.out or layout.arm(name)
    table: list[tuple[Any, ...]] = []
    missed: dict[int | None, list[Row]] = {}
    with new_folder(target) as folder:
        for network in networks:
            below = folder if network is None else folder / f"seed-{network}"
            shown = track(rows, len(rows), f"extract {of_network(name, network)}")
            for row, path in zip(shown, cut_out_of(params, layout, name, rows, network), strict=True):
                image = read_rgb(path)
                cell = settings.extractor.cell(image)
                write_image(below, row.id, settings.extractor.shown(image, cell), settings.file)
                nested = () if network is None else (network,)
                table.append((row.id, row.label, *nested, *found_cells(cell)))
                if cell is None:
                    missed.setdefault(network, []).append(row)
        nested_column = () if networks == (None,) else ("sr_seed",)
        write_table(folder / "extraction.csv", (*COLUMNS[:2], *nested_column, *COLUMNS[2:]), table)
        whole = [row for each in missed.values() for row in each]
        tested = {each: _tested(rows * len(networks), whole, each) for each in params.study.protocols}
        write_json(
            folder / "metrics.json",
            {
                "n": len(table),
                "found": len(table) - len(whole),
                "not_found": len(whole),
                "not_found_by_class": dict(sorted(Counter(row.label for row in whole).items())),
                "tested": tested,
                "arm": settings.arm,
                "extractor": settings.extractor.model_dump(mode="json"),
            },
        )
    main = tested[params.study.protocols[0]]
    context.console.print(
        f"extract {name}: {counted(len(table) - len(whole), 'cell')} in {counted(len(table), 'image')} by "
        f"{settings.extractor.method}, the others kept whole, {main['not_found']} of them among "
        f"{counted(main['n'], 'test image')} -> {target}"
    )


def found_cells(cell: Cell | None) -> tuple[Any, ...]:
    """A row of extraction.csv from `status` on: pixels of the image, empty without a cell."""
    return ("not_found", "", "", "", "", "") if cell is None else ("found", *cell.box, cell.area)


def _tested(rows: Sequence[Row], missed: Sequence[Row], protocol: str) -> dict[str, Any]:
    """How many test images there are under a protocol, and in how many of each class no cell was found."""
    lost = [row for row in missed if is_tested(row, protocol)]
    return {
        "n": sum(is_tested(row, protocol) for row in rows),
        "not_found": len(lost),
        "not_found_by_class": dict(sorted(Counter(row.label for row in lost).items())),
    }


def run_folder(root: Path, masks: Path | None, out: Path, console: Console) -> None:
    """Cut the cell out of every image below a folder by every extractor with its default settings.

    Writes <method>/<path>.png, the whole image where there is no cell, and extraction.csv; with `masks`, whose files
    are <path of the image>.png below it, also `iou` and `coverage` (`evaluate.extraction`), and prints their means.
    Raises LeukoError for a folder without images, and for an image or a mask that cannot be read.
    """
    require_folder(root, "name the folder that holds the images")
    files = [each for each in list_files(root, without=out, results=False) if each.path.name not in TABLES]
    mask_of = _masks_beside(root, [each.path for each in files], masks)
    files = [each for each in files if each.path not in mask_of.values()]
    for each in files:
        if each.reason is not None:
            console.print(f"left out: {each.path} {each.reason}")
    images = [each.path for each in files if each.reason is None]
    if not images:
        raise LeukoError(f"{root} holds no usable images: name the folder that holds them")
    scores: dict[str, ExtractorScores] = {}
    table: list[tuple[Any, ...]] = []
    with new_folder(out) as folder:
        for method, kind in EXTRACTORS.items():
            extractor, agreed = kind(method=method), []
            for path in track(images, len(images), f"extract {method}"):
                image, name = read_rgb(path), path.relative_to(root)
                cell, found = extractor.cell(image), None
                write_image(folder / method, name.as_posix(), extractor.shown(image, cell), "png")
                if cell is not None:
                    mask = mask_of.get(path)
                    found = agreement(cell, read_mask(mask, cell.shown.shape)) if mask is not None else None
                    agreed.append(found)
                table.append((method, name.as_posix(), *found_cells(cell), *_agreement_cells(found)))
            scores[method] = extractor_scores(len(images), agreed)
        columns = ("method", "image", *COLUMNS[2:], "iou", "coverage")
        write_table(folder / "extraction.csv", columns, table)
    _print_scores(console, scores)
    console.print(f"extract: {counted(len(images), 'image')}, {len(mask_of)} with masks -> {out}")


def _masks_beside(root: Path, paths: Sequence[Path], masks: Path | None) -> dict[Path, Path]:
    """Image -> its mask; a mask may lie beside its image, which then is not a PNG."""
    if masks is None:
        return {}
    require_folder(masks, "name the folder of the masks with --masks")
    places = {path: (masks / path.relative_to(root)).with_suffix(".png") for path in paths}
    found = {path: place for path, place in places.items() if place.is_file() and place != path}
    if not found:
        raise LeukoError(f"{masks} holds no mask of an image in {root}: masks have the paths of their images, as .png")
    return found


def _agreement_cells(found: Agreement | None) -> tuple[Any, ...]:
    return ("", "") if found is None else (f"{found.iou:.4f}", f"{found.coverage:.4f}")


def _print_scores(console: Console, scores: dict[str, ExtractorScores]) -> None:
    table = Table(title="Extractors", title_justify="left")
    table.add_column("extractor")
    for head in ("cells found, %", "with a nucleus", "IoU of boxes", "nucleus shown, %"):
        table.add_column(head, justify="right")
    for method, each in scores.items():
        iou = "–" if each.iou is None else f"{each.iou:.3f}"
        coverage = "–" if each.coverage is None else f"{100 * each.coverage:.1f}"
        table.add_row(method, f"{100 * each.found / each.images:.1f}", str(each.compared), iou, coverage)
    console.print(table)
