"""`python -m tests.gate BEFORE AFTER`: whether a change of the code changed what a study gives.

BEFORE and AFTER are outputs/<study> of one study, run on one machine by two versions of the code. Images are compared
byte for byte; roles, image quality and predictions by their values, because tables may have gained columns since.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Facts = dict[str, object]  # what is compared, by its name


def images(folder: Path) -> Facts:
    """The bytes of every image that a data stage made."""
    files = (path for part in ("lr", "arms") for path in (folder / part).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.suffix != ".json"}


def roles(folder: Path) -> Facts:
    """The role of every image under every protocol, from the wide manifest or from the long table of roles."""
    if (folder / "roles.csv").exists():
        return {f"{row['image']} under {row['protocol']}": row["role"] for row in _rows(folder / "roles.csv")}
    return {
        f"{row['id']} under {name.removeprefix('role_')}": role
        for row in _rows(folder / "manifest.csv")
        for name, role in row.items()
        if name.startswith("role_") and role
    }


def quality(folder: Path) -> Facts:
    """PSNR, SSIM and MSE of every image of every arm."""
    return {
        f"{table.parent.name}/{row['image']}": tuple(row[name] for name in ("psnr", "ssim", "mse"))
        for table in sorted(folder.glob("quality/*/per_image.csv"))
        for row in _rows(table)
    }


def predictions(folder: Path) -> Facts:
    """Every prediction with the probabilities of all classes."""
    return {
        f"{table.parent.relative_to(folder)}/{row['image']}, seed {row['seed']}": tuple(
            value for name, value in row.items() if name in ("true", "predicted") or name.startswith("p_")
        )
        for table in sorted(folder.glob("classify/*/*/predictions.csv"))
        for row in _rows(table)
    }


COMPARED: dict[str, Callable[[Path], Facts]] = {
    "images, byte for byte": images,
    "roles": roles,
    "image quality": quality,
    "predictions": predictions,
}


def differences(before: Facts, after: Facts) -> list[str]:
    """The names of what is missing, new or different."""
    return [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def main() -> int:
    """Print a line for each kind of fact; 1 where anything differs, or there is nothing to compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    arguments = parser.parse_args()
    failed = False
    for what, read in COMPARED.items():
        before, after = read(arguments.before), read(arguments.after)
        other = differences(before, after)
        failed |= bool(other) or not before
        said = f"{len(other)} of {len(before)} differ, e.g. {other[0]}" if other else f"{len(before)} equal"
        print(f"{what}: {said}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
