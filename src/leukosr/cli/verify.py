"""`leukosr verify`: rehash what DVC tracks."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukosr.cli.options import console
from leukosr.quoting import counted
from leukosr.terminal import print_raw

if TYPE_CHECKING:
    from leukosr.verify import Copy, Verified


def verify(as_json: Annotated[bool, typer.Option("--json", help="Print an object instead of lines.")] = False) -> None:
    """Rehash everything that dvc.lock and .dvc files name, in the workspace and in DVC's cache.

    Names what is damaged and how to restore it; the exit code is then 1. Missing files are listed separately.
    """
    from leukosr import verify as checking
    from leukosr.project import project_root, run_dvc

    root = project_root()
    with contextlib.chdir(root):
        cache = Path(run_dvc("cache", "dir").strip())
        verified = checking.verify(root, cache)
    if as_json:
        print_raw(json.dumps(_record(verified), indent=2))
    else:
        _print(verified, root, [*checking.remedies(verified), *checking.missing_remedies(verified)])
    if verified.bad:
        raise typer.Exit(1)


def _print(verified: Verified, root: Path, remedies: list[str]) -> None:
    lines = [f"bad: {_place(copy, root)}: MD5 {md5}, recorded {copy.digest}" for copy, md5 in _each_once(verified.bad)]
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for copy in verified.missing:
        places[copy.output.path, copy.name].append("cache" if copy.cached else "workspace")
    counts = Counter((path, name == "", " and the ".join(where)) for (path, name), where in places.items())
    for (path, whole, where), count in counts.items():
        what = path if whole else f"{counted(count, 'file')} of {path}"
        lines.append(f"missing: {what} in the {where}")
    lines += [f"not checked: {path}, which DVC knows by no MD5" for path in verified.unchecked]
    lines += remedies
    checked, bad = (len({copy.place for copy in part}) for part in (verified.good, verified.bad))
    lines.append(
        f"verify: {counted(checked + bad, 'file')} in workspace and cache hashed, {bad} bad, {len(places)} missing, "
        f"{len(verified.unchecked)} not checked"
    )
    for line in lines:
        console.print(line)


def _each_once(bad: dict[Copy, str]) -> list[tuple[Copy, str]]:
    """One cached object may be a copy of several files."""
    return list({copy.place: (copy, md5) for copy, md5 in bad.items()}.values())


def _place(copy: Copy, root: Path) -> str:
    of = "/".join(part for part in (copy.output.path, copy.name) if part)
    place = os.path.relpath(copy.place, root) if copy.place.is_relative_to(root) else str(copy.place)
    return f"{place} (of {of})" if copy.cached else f"{place} (damaged, or changed since DVC recorded it)"


def _record(verified: Verified) -> dict[str, object]:
    bad = [
        {
            "path": str(copy.place),
            "output": copy.output.path,
            "target": copy.output.target,
            "cached": copy.cached,
            "md5": md5,
            "recorded": copy.digest,
        }
        for copy, md5 in _each_once(verified.bad)
    ]
    missing = [
        {"path": str(copy.place), "output": copy.output.path, "cached": copy.cached} for copy in verified.missing
    ]
    return {"good": len(verified.good), "bad": bad, "missing": missing, "unchecked": verified.unchecked}
