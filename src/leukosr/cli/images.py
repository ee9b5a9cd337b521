"""Commands for the user's own images."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukosr.cli.options import MOST_ERRORS, SHARE_OF_ERRORS, Device, Precision, check_there, console, errors
from leukosr.errors import LeukoError
from leukosr.layout import OWN_WEIGHTS, require_weights, weight_file
from leukosr.quoting import counted

if TYPE_CHECKING:
    from leukosr.data.adding import Added
    from leukosr.superres.enhance import Enhanced

PREDICTIONS = b"image,predicted,"  # how a table of `predict` begins


def enhance(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image or a folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The image (.png) to write, or a folder.")],
    weights: Annotated[
        Path, typer.Option(metavar="FILE", help="Generator weights: of a study, a published .pth, or pretrained/NAME.")
    ],
    tile: Annotated[int, typer.Option(min=0, help="Largest side of a tile in LR pixels; 0: whole images.")] = 256,
    overlap: Annotated[int, typer.Option(min=0, help="LR pixels that tiles share.")] = 64,
    precision: Precision = "fp32",
    device: Device = "auto",
) -> None:
    """Super-resolve any image or folder of images. An image that cannot be read is named, and the exit code is 1.

    For research, never on patients: super-resolution invents detail.
    """
    _check_given(source, weights)
    from leukosr.superres.enhance import enhance_path

    done = enhance_path(source, target, weights, tile=tile, overlap=overlap, precision=precision, device_name=device)
    _print_done("enhance", "image", target, done)


def segment(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A low-resolution image or a folder of them.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder for masks/ and overlays/.")],
    weights: Annotated[Path, typer.Option(metavar="FILE", help="Weights of a geometry_prior training.")],
    precision: Precision = "fp32",
    device: Device = "auto",
) -> None:
    """Map nucleus and cytoplasm of any image, at the size that the network enlarges it to."""
    _check_given(source, weights)
    from leukosr.outputs import claimed
    from leukosr.superres.segment import segment_path

    with claimed(out, "segment", adds=not source.is_dir()):
        done = segment_path(source, out, weights, precision, device)
    _print_done("segment", "map", out, done)


def predict(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image or a folder of images.")],
    model: Annotated[Path, typer.Option(help="A weight file, or the folder of an experiment with all its seeds.")],
    out: Annotated[Path, typer.Option(metavar="TABLE", help="The table to write.")] = Path("predictions.csv"),
    sr: Annotated[
        Path | None, typer.Option(metavar="WEIGHTS", help="A generator that enlarges the images first.")
    ] = None,
    explain: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also write Grad-CAM overlays here.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Lowest probability of a sure answer; default: by --most-errors."),
    ] = None,
    most_errors: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help=f"{SHARE_OF_ERRORS}; default: {MOST_ERRORS}."),
    ] = None,
    precision: Precision = "fp32",
    device: Device = "auto",
) -> None:
    """Classify any image or folder of images. An image that cannot be read is named, and the exit code is 1.

    For research, never on patients.
    """
    if threshold is not None and most_errors is not None:
        raise LeukoError("--threshold and --most-errors both say which answers are sure: give one of them")
    _check_table(out)
    _check_given(source, sr)
    check_there([model], "name a weight file, or the folder of an experiment, outputs/STUDY/classify/EXPERIMENT")
    if not os.path.isdir(model):
        require_weights(model, OWN_WEIGHTS)
    from leukosr.classify.predict import predict_path, write_predictions
    from leukosr.cli.own_arm import on_arm
    from leukosr.outputs import claimed

    with nullcontext() if explain is None else claimed(explain, "predict", adds=not source.is_dir()):
        done = predict_path(
            source, model, sr=sr, explain=explain, threshold=threshold, most_errors=most_errors or MOST_ERRORS,
            precision=precision, device_name=device,
        )  # fmt: skip
        notes = [f"{out} held an earlier table of `leukosr predict`, which was replaced"] if out.exists() else []
        write_predictions(out, done.table)  # which may lie among the overlays
    for answer in done.answers:
        console.print(answer)
    notes = [*([] if sr is None else on_arm(model, sr)), *done.done.notes, *notes]
    _print_done("predict", "image", out, replace(done.done, notes=notes), f" ({done.summary})")


def _check_given(source: Path, weights: Path | None) -> None:
    """Raise LeukoError for missing images and for what is no generator's file, before torch takes seconds to load."""
    check_there([source], "name an image or a folder of images")
    if weights is None:
        return
    file = weight_file(weights)
    if not os.path.isfile(file):  # False, too, for a name that is too long
        from leukosr.pretrained.named import find_weights

        file = find_weights(weights)
    require_weights(file)


def _check_table(path: Path) -> None:
    """Raise LeukoError where `path` is a folder, not a .csv, or a file that `predict` did not write."""
    if os.path.isdir(path):
        raise LeukoError(f"{path} is a folder: name the table to write with --out")
    if path.suffix.lower() != ".csv":
        raise LeukoError(f"{path}: predictions are written as CSV, name the table .csv")
    if os.path.isfile(path):
        with path.open("rb") as file:
            if file.read(len(PREDICTIONS)) != PREDICTIONS:
                raise LeukoError(f"{path} is a file that `leukosr predict` did not write: name another with --out")


def _print_done(command: str, what: str, target: Path, done: Enhanced, detail: str = "") -> None:
    """Name the files that gave nothing, count the others; exit code 1 where an image failed."""
    for sentence in done.notes:
        errors.print(f"note: {sentence}")
    for sentence in done.left_out:
        errors.print(f"left out: {sentence}")
    for sentence in done.failed:
        errors.print(f"failed: {sentence}")
    others = f"{len(done.failed)} failed, {counted(len(done.left_out), 'file')} left out"
    console.print(f"{command}: {counted(done.written, what)}{detail} -> {target}, {others}")
    if done.failed:
        raise typer.Exit(1)


def data_fetch(
    name: Annotated[str, typer.Argument(help="The set to fetch: bccd or pbc.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FOLDER", help="A folder already on disk, instead of a download; of PBC it may be a part."
        ),
    ] = None,
    only: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Of PBC only the images that this manifest.csv of a published study names."),
    ] = None,
) -> None:
    """Fetch BCCD into data/, or PBC into datasets/pbc, and check it against the published hashes."""
    from leukosr.data.fetch import fetch

    console.print(f"data fetch {name}: {fetch(name, source, only)}")


def data_add(
    name: Annotated[str, typer.Argument(help="The name below datasets/.")],
    path: Annotated[Path, typer.Argument(help="A folder of class folders, or of images and a split.csv.")],
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Leave unusable images out instead of stopping.")
    ] = False,
    no_classes: Annotated[
        bool, typer.Option("--no-classes", help="The images have no class: for studies of super-resolution alone.")
    ] = False,
    study: Annotated[
        bool, typer.Option("--study", help="Also write conf/study/NAME.yaml, and say what its test images can show.")
    ] = False,
) -> None:
    """Check a folder of images, copy it to datasets/NAME and put it under DVC."""
    from leukosr.data.adding import adding, study_name
    from leukosr.own_study import Uncomposed, own_study, parts_text, refuse_known_study, study_file
    from leukosr.project import at_project_root

    path = path.absolute()  # before the working directory changes
    with at_project_root():
        if study:
            refuse_known_study(study_name(name))
        with adding(name, path, leave_out=leave_out, classes=not no_classes) as added:
            proposed = None
            try:
                proposed = own_study(name, added, classifies=not no_classes)
            except LeukoError as error:
                if study:
                    raise
                untried = isinstance(error, Uncomposed)
                said = "`prepare` was not tried on this set" if untried else "as it is, `prepare` would refuse this set"
                errors.print(f"{said}: {error}")
        if proposed is not None and study:
            proposed.write()
    _print_notes(added)
    _print_added(name, added, "" if proposed is None else proposed.classes)
    if proposed is not None and study:
        for sentence in proposed.sentences():
            console.print(sentence)
        return
    if no_classes:
        console.print("without classes it serves image quality alone (study.measures, see conf/study/case2_sr.yaml)")
    parts = "" if proposed is None else parts_text(proposed.params.prepare)
    file = study_file(study_name(name))
    console.print(f"to keep it: git add datasets/{name}.dvc")
    by_hand = f"write {file} with prepare.root datasets/{name}{parts} (docs/studies.md, Your own images)"
    by_command = f"`leukosr data study {name}{' --no-classes' if no_classes else ''}`, or "
    console.print(f"next: {by_command if proposed is not None and not file.exists() else ''}{by_hand}")


def data_study(
    name: Annotated[str, typer.Argument(help="The name below datasets/.")],
    no_classes: Annotated[bool, typer.Option("--no-classes", help="The images have no class.")] = False,
) -> None:
    """Write conf/study/NAME.yaml for a set that was added, and say what its test images can show."""
    from leukosr.data.adding import already_added, study_name
    from leukosr.own_study import own_study, refuse_known_study
    from leukosr.project import at_project_root

    study = study_name(name)
    with at_project_root():
        refuse_known_study(study, f"run it with -S study={study}, or move it away to have another")
        added = already_added(name, classes=not no_classes)
        _print_notes(added)
        proposed = own_study(name, added, classifies=not no_classes)
        proposed.write()
    classes = f" ({proposed.classes})" if proposed.classes else ""
    console.print(f"data study {name}: {counted(added.images, 'image')} in datasets/{name}{classes}")
    for sentence in proposed.sentences():
        console.print(sentence)


def _print_notes(added: Added) -> None:
    for item in added.left_out:
        errors.print(f"left out: {item.path} {item.reason}")
    for note in added.notes:
        errors.print(note)


def _print_added(name: str, added: Added, classes: str) -> None:
    rows = f", {counted(added.split_rows, 'row')} of theirs taken out of split.csv" if added.split_rows else ""
    masks = f" with {counted(added.masks, 'mask')}" if added.masks else ""
    brought = f"{counted(added.images, 'image')}{masks} in datasets/{name}{classes and f' ({classes})'}"
    console.print(f"data add {name}: {brought}, {len(added.left_out)} left out{rows}")


def data_shift(
    own: Annotated[Path, typer.Argument(help="A set with a split.csv, whose train and val parts are taken.")],
    others: Annotated[
        list[Path], typer.Argument(help="Class folders of another laboratory, or several: the test part.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write.")],
    side: Annotated[
        int, typer.Option(min=32, help="Side of the square cut around each nucleus, in pixels of OWN.")
    ] = 360,
) -> None:
    """Make a set that is tested on other laboratories' cells, all at one scale, for `leukosr data add`."""
    from leukosr.data.shift import shift_set
    from leukosr.files import new_folder
    from leukosr.outputs import claimed

    with claimed(out, "data shift", reads=[own, *others]), new_folder(out) as folder:
        done = shift_set(own, others, folder, side)
    for item in done.left_out:
        errors.print(f"left out: {item.path} {item.reason}")
    tested = ", ".join(
        f"{counted(each.cells, 'test cell')} of {each.folder} enlarged {each.factor:.2f} times" for each in done.tested
    )
    parts = f"{done.train} train and {done.val} val images; {tested}"
    console.print(f"data shift: {parts}; {len(done.left_out)} left out -> {out}")


def data_tiles(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder of large images.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write the tiles to.")],
    height: Annotated[int, typer.Option(min=32, help="Tile height, in pixels.")],
    width: Annotated[int, typer.Option(min=32, help="Tile width, in pixels.")],
) -> None:
    """Cut every image of a folder into tiles, for `leukosr data add`; each keeps the name of its image."""
    from leukosr.data.tiles import cut_folder
    from leukosr.outputs import claimed

    with claimed(out, "data tiles", reads=[source]):
        cut = cut_folder(source, out, (height, width))
    if cut.left_over:
        first, pixels = next(iter(cut.left_over.items()))
        count = len(cut.left_over)
        left = f"{counted(count, 'image')} {'is' if count == 1 else 'are'} not a whole number of tiles"
        errors.print(f"{left}: what is left at the right and the bottom is in none, e.g. {pixels:,} pixels of {first}")
    console.print(
        f"data tiles: {counted(cut.tiles, 'tile')} of {height}x{width} from {counted(cut.images, 'image')} -> {out}"
    )
