"""PBC: the 5 leukocyte classes of Acevedo's peripheral blood cells, each file checked against its published hash.

Acevedo et al., Data in Brief 2020, doi 10.1016/j.dib.2020.105474; the split is that of WBCAtt (Tsutsui et al., NeurIPS
2023).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from leukosr.data.split_table import NAME as SPLIT
from leukosr.engine.progress import track
from leukosr.errors import LeukoError
from leukosr.files import explained_os_errors, new_folder
from leukosr.outputs import files_below
from leukosr.quoting import counted, listed, short
from leukosr.tables import read_table, write_table

ROOT = Path("datasets/pbc")
URL = "https://github.com/kylewang1999/PBC_dataset"
COMMIT = "c3c0681e2937577a26532c4c63411557fcd0fb29"
FOLDERS = {"basophil": "other_types/basophil"}  # of the repository; the other classes lie in wbc/CLASS
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class PublishedFile:
    """One file: `path` is class/name, `part` train, val or test, `md5` in hexadecimal digits."""

    path: str
    part: str
    md5: str

    @property
    def label(self) -> str:
        """Its class."""
        return self.path.partition("/")[0]

    @property
    def in_repository(self) -> str:
        """Its path in the public repository."""
        return f"{FOLDERS.get(self.label, f'wbc/{self.label}')}/{self.path.partition('/')[2]}"


@dataclass(frozen=True)
class Assembled:
    """How many files of each part were brought and wanted, and how many files of the source were not taken.

    Wanted are those published, or those of a study (`named`).
    """

    brought: Counter[str]
    wanted: Counter[str]
    others: int
    named: bool = False

    @property
    def sentence(self) -> str:
        """What came, which parts are whole, and how many files of the others are missing."""
        words = [self._part(part) for part in PARTS if self.wanted[part]]
        ignored = f"; {self.others} other files there were not taken" if self.others else ""
        files = counted(self.brought.total(), "file")
        return f"{files} in {ROOT}, each with its published MD5: {'; '.join(words)}{ignored}"

    def _part(self, part: str) -> str:
        brought, wanted = self.brought[part], self.wanted[part]
        if brought < wanted:
            return f"{part} {brought} of {wanted}, {wanted - brought} missing"
        return f"{part} all {wanted} named" if self.named else f"{part} whole ({wanted})"


def published_files() -> list[PublishedFile]:
    """All 10,298 files in the order of their paths."""
    text = gzip.decompress((files("leukosr.data") / "pbc.csv.gz").read_bytes()).decode()
    return [PublishedFile(*line.split(",")) for line in text.splitlines()[1:]]


def fetch_pbc(source: Path | None, only: Path | None = None, *, url: str = URL, commit: str = COMMIT) -> Assembled:
    """Assemble the class folders and split.csv in datasets/pbc.

    From the public repository, of which every file must come, or from a folder on disk, laid out as datasets/pbc or as
    the repository, which may lack some. `only`: the manifest.csv of a study that had a part of the set; no other file
    comes. Raises LeukoError for a damaged file, a source without any, a manifest of another set, and where datasets/pbc
    holds files that would be lost; then it stays as it was.
    """
    published = published_files() if only is None else _named(only)
    if source is not None:
        done = _assemble(source, published, whole=False)
        return replace(done, named=only is not None)
    ROOT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT.parent, prefix=".pbc-") as clone:
        _check_out(Path(clone), url, commit)
        return replace(_assemble(Path(clone), published, whole=True), named=only is not None)


def _check_out(clone: Path, url: str, commit: str) -> None:
    """The folders of the five classes alone, at one commit without its history; git shows its own progress."""
    folders = sorted({file.in_repository.rpartition("/")[0] for file in published_files()})
    commands: Sequence[Sequence[str]] = (
        ("init", "--quiet"),
        ("remote", "add", "origin", url),
        ("sparse-checkout", "set", *folders),
        ("fetch", "--depth=1", "--filter=blob:none", "--progress", "origin", commit),
        ("checkout", "--quiet" if not sys.stderr.isatty() else "--progress", "FETCH_HEAD"),
    )
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    for command in commands:
        shown = None if sys.stderr.isatty() else subprocess.PIPE
        try:
            done = subprocess.run(
                ["git", "-C", str(clone), *command], stderr=shown, text=True, check=False, env=environment
            )
        except FileNotFoundError:
            raise LeukoError("git is not installed, and PBC comes from a git repository: install it") from None
        if done.returncode:
            said = (done.stderr or "").strip().splitlines()
            raise LeukoError(
                f"{url} could not be reached, or lacks the commit {commit[:10]} "
                f"({short(said[-1], 200) if said else 'git says why above'}): connect to the internet, or take a "
                "folder on disk with `leukosr data fetch pbc --from PATH`"
            )


def _named(manifest: Path) -> list[PublishedFile]:
    """The published files that a manifest names."""
    names = set(read_table(manifest, ("path",), "the manifest.csv of a study (path)")["path"])
    if not names:
        raise LeukoError(f"{manifest} names no image: name the manifest.csv of a study of PBC")
    found = [file for file in published_files() if file.path in names]
    if others := sorted(names - {file.path for file in found}):
        raise LeukoError(
            f"{manifest} names {counted(len(others), 'file')} that {'is' if len(others) == 1 else 'are'} not of PBC "
            f"({listed(others, 3)}): name the manifest.csv of a study of PBC"
        )
    return found


def _assemble(source: Path, published: Sequence[PublishedFile], *, whole: bool) -> Assembled:
    found = {file: path for file in published if (path := _found(source, file)) is not None}
    if whole and len(found) < len(published):
        raise LeukoError(
            f"the repository holds {len(found)} of the {len(published)} files wanted: take a folder on disk with "
            "`leukosr data fetch pbc --from PATH`"
        )
    if not found:
        raise LeukoError(
            f"{source} holds none of the {counted(len(published), 'file')} wanted: name the folder that holds the "
            "class folders basophil, eosinophil, lymphocyte, monocyte and neutrophil"
        )
    _refuse_to_lose({file.path for file in found})
    with new_folder(ROOT) as folder:
        damaged = [
            file.path
            for file, path in track(found.items(), len(found), "checking files")
            if not _copied(path, folder / file.path, file.md5)
        ]
        if damaged:
            raise LeukoError(
                f"{source} has {counted(len(damaged), 'file')} with another MD5 than published: {listed(damaged, 3)}. "
                "Download them again"
            )
        write_table(folder / SPLIT, ("path", "label", "split"), ((f.path, f.label, f.part) for f in found))
    known = {path.relative_to(source).as_posix() for path in found.values()} | {SPLIT}
    others = 0 if whole else len(set(files_below(source)) - known)
    return Assembled(Counter(file.part for file in found), Counter(file.part for file in published), others)


def _found(source: Path, file: PublishedFile) -> Path | None:
    places = (source / file.path, source / file.in_repository)
    return next((place for place in places if place.is_file()), None)


def _copied(path: Path, target: Path, md5: str) -> bool:
    """Copy a file; whether it has that MD5."""
    target.parent.mkdir(exist_ok=True)
    with explained_os_errors(path):
        shutil.copyfile(path, target)
    return hashlib.md5(target.read_bytes(), usedforsecurity=False).hexdigest() == md5


def _refuse_to_lose(brought: set[str]) -> None:
    """Raise LeukoError where datasets/pbc holds files that are not among those brought."""
    lost = [name for name in files_below(ROOT) if name not in brought | {SPLIT}]
    if lost:
        raise LeukoError(f"{ROOT} holds files that would be lost: {listed(lost, 3)}. Move them away")
