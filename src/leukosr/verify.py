"""Whether everything that dvc.lock and the .dvc files name still has the bytes that DVC recorded."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from leukosr.data.catalogue import fetch_command
from leukosr.engine.parallel import count_workers
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.layout import PRETRAINED
from leukosr.pretrained.catalogue import published
from leukosr.project import DAMAGED


@dataclass(frozen=True)
class Output:
    """An output in DVC: path below the root, MD5 (`….dir` for a folder) and what names it (stage or .dvc file)."""

    path: str
    digest: str
    target: str


@dataclass(frozen=True)
class Copy:
    """One copy of an output or of a file in it, in the workspace or in DVC's cache, and the MD5 that it should have.

    `name` is the file's path below the output, empty for the output as a whole.
    """

    output: Output
    name: str
    place: Path
    digest: str
    cached: bool


@dataclass(frozen=True)
class Verified:
    """The good copies, the bad ones with their MD5, and those that are missing.

    `unchecked` are paths that DVC recorded by something other than an MD5 of their bytes.
    """

    good: list[Copy]
    bad: dict[Copy, str]
    missing: list[Copy]
    unchecked: list[str]


def verify(root: Path, cache: Path) -> Verified:
    """Hash every copy, in the workspace below `root` and in DVC's `cache`, of what dvc.lock and .dvc files name.

    Raises LeukoError where these files cannot be read.
    """
    outputs, unchecked = named_outputs(root)
    copies = [copy for output in outputs for copy in _copies(output, root, cache / "files" / "md5")]
    good: list[Copy] = []
    bad: dict[Copy, str] = {}
    missing: list[Copy] = []
    same: dict[tuple[int, int], list[Copy]] = defaultdict(list)  # hard links are read once
    for copy in copies:
        try:
            about = copy.place.stat()
        except OSError:
            missing.append(copy)
        else:
            same[about.st_dev, about.st_ino].append(copy)
    with ThreadPoolExecutor(count_workers("auto")) as pool:
        hashes = pool.map(_digest, [group[0].place for group in same.values()])
        for group, found in zip(same.values(), track(hashes, len(same), "verifying"), strict=True):
            for copy in group:
                if found.removesuffix(".dir") == copy.digest.removesuffix(".dir"):
                    good.append(copy)
                else:
                    bad[copy] = found
    return Verified(good, bad, missing, unchecked)


def named_outputs(root: Path) -> tuple[list[Output], list[str]]:
    """The outputs that dvc.lock and the .dvc files below `root` name, each once, and those without an MD5."""
    found: dict[tuple[str, str], Output] = {}
    unchecked = []
    for file in _naming(root):
        for target, entry in _entries(file, root):
            path = os.path.normpath(file.relative_to(root).parent / entry["path"])
            if entry.get("hash") == "md5" and "md5" in entry:
                found.setdefault((path, entry["md5"]), Output(path, entry["md5"], target))
            else:
                unchecked.append(path)
    return list(found.values()), unchecked


def _naming(root: Path) -> Iterator[Path]:
    """dvc.lock, where there is one, and all .dvc files."""
    if (root / "dvc.lock").exists():
        yield root / "dvc.lock"
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".dvc"))


def _entries(file: Path, root: Path) -> list[tuple[str, dict[str, Any]]]:
    """(target of DVC's commands, entry with path, hash and md5) of every output that a file names."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        if file.name != "dvc.lock":
            return [(file.relative_to(root).as_posix(), _entry(each)) for each in content["outs"]]
        return [(name, _entry(each)) for name, stage in content["stages"].items() for each in stage.get("outs", ())]
    except DAMAGED as error:
        words = " ".join(str(error).split())[:200]
        raise LeukoError(f"{file} cannot be read ({words}): take it from git again") from None


def _entry(written: Any) -> dict[str, Any]:
    """An entry as a file names it. Raises one of DAMAGED where it lacks its path, or has a path or MD5 that is none."""
    entry = dict(written)
    texts = {"path": entry["path"]} | ({"md5": entry["md5"]} if entry.get("hash") == "md5" and "md5" in entry else {})
    for name, value in texts.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} is {value!r}, which is no text")
    return entry


def _copies(output: Output, root: Path, objects: Path) -> Iterator[Copy]:
    """Every copy of an output: the whole and, for a folder whose listing is in the cache, each file in it."""
    cached = _object(objects, output.digest)
    yield Copy(output, "", cached, output.digest, cached=True)
    listing = _listing(cached, output.digest)
    if listing is None:
        yield Copy(output, "", root / output.path, output.digest, cached=False)
        return
    for name, digest in listing.items():
        yield Copy(output, name, _object(objects, digest), digest, cached=True)
        yield Copy(output, name, root / output.path / name, digest, cached=False)


def _object(objects: Path, digest: str) -> Path:
    return objects / digest[:2] / digest[2:]


def _listing(cached: Path, digest: str) -> dict[str, str] | None:
    """The files of a folder with their MD5s; None for a file, and where the listing is missing or bad."""
    if not digest.endswith(".dir"):
        return None
    try:
        content = cached.read_bytes()
    except OSError:
        return None
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != digest.removesuffix(".dir"):
        return None
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def _digest(place: Path) -> str:
    """The MD5 of a file; of a folder as DVC makes it; or why it cannot be read."""
    try:
        if not place.is_dir():
            with place.open("rb") as file:
                return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        files = sorted(path for path in place.rglob("*") if not path.is_dir())
        entries = [{"md5": _digest(file), "relpath": file.relative_to(place).as_posix()} for file in files]
    except OSError as error:
        return f"{error.strerror}"
    listing = json.dumps(sorted(entries, key=lambda entry: entry["relpath"])).encode()
    return hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir"


def remedies(verified: Verified) -> list[str]:
    """For every output with bad copies, how to restore it once these are removed."""
    good = {(copy.output, copy.name, copy.cached) for copy in verified.good}
    bad: dict[Output, list[Copy]] = defaultdict(list)
    for copy in verified.bad:
        bad[copy.output].append(copy)
    sentences = []
    for output, copies in bad.items():
        lost = any((output, copy.name, not copy.cached) not in good for copy in copies)
        places = {copy.cached for copy in copies}
        if not lost and places == {False}:
            then = f"`dvc checkout {output.path}`, as the cache is good"
        elif not lost and places == {True} and _whole_in_workspace(output, verified):
            then = f"`dvc commit --force {output.target}`, as the workspace is good"
        else:
            dvc_file = output.target.endswith(".dvc")
            again = _again(output.path, output.target) if dvc_file else f"`dvc repro {output.target}`"
            then = f"`dvc pull {output.target}` where a remote holds it, else {again}"
        sentences.append(f"{output.path}: remove what is bad, then {then}")
    return sentences


def missing_remedies(verified: Verified) -> list[str]:
    """How to get the outputs that have missing copies.

    From the cache or from the workspace where it is whole, else by their own command.
    """
    outputs = dict.fromkeys(copy.output for copy in verified.missing)
    uncached = {copy.output for copy in verified.missing if copy.cached}
    kept = [output for output in outputs if _whole_in_workspace(output, verified)]
    sentences = []
    if kept:
        targets = shlex.join(dict.fromkeys(output.target for output in kept))
        sentences.append(f"what only the cache lacks: put it there by `dvc commit {targets}`, as the workspace is good")
    for each in (output for output in outputs if output.target.endswith(".dvc") and output not in kept):
        again = f"{_again(each.path, each.target)}, or by `dvc pull {each.target}` where a remote holds it"
        sentences.append(f"{each.path}: get it by {f'`dvc checkout {each.target}`' if each not in uncached else again}")
    of_stages = {output for output in outputs if not output.target.endswith(".dvc") and output not in kept}
    if of_stages & uncached:
        sentences.append(
            "results of stages: make them by `make repro`, or get them by `dvc pull` where a remote holds them"
        )
    elif of_stages:
        sentences.append("results of stages: get them by `dvc checkout`")
    return sentences


def _whole_in_workspace(output: Output, verified: Verified) -> bool:
    """Whether `dvc commit` makes what the cache lacks: it takes all outputs of a stage, and would record a bad one."""
    good = {(copy.output, copy.name) for copy in verified.good if not copy.cached}
    others = [copy for copy in (*verified.bad, *verified.missing) if copy.output.target == output.target]
    return all(copy.cached and (copy.output, copy.name) in good for copy in others)


def _again(path: str, target: str) -> str:
    """The command that brings what a .dvc file names; `data add` refuses a name that DVC still knows."""
    place = Path(path)
    if place.parent == PRETRAINED and place.stem in published():
        return f"`leukosr weights fetch {place.stem}`"
    if place.parent == PRETRAINED:
        return f"`leukosr weights add {place.stem} PATH`"
    command = fetch_command(path)
    return f"`{command}`" + (f" after `dvc remove {target}`" if command.startswith("leukosr data add") else "")
