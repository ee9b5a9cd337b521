"""Features of many images on disk: made in blocks, hence resumable, and read by any process."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from leukosr.data.provenance.features import DETAIL, Features, describe
from leukosr.engine.parallel import ordered_map
from leukosr.engine.progress import progress
from leukosr.errors import LeukoError
from leukosr.files import new_file, new_folder, write_json

BLOCK = 2048  # images described between two checkpoints; every block starts new workers
ARRAYS = ("starts", "points", "descriptors", "detail", "content")
SUMS = "sha256.json"


class FeatureStore:
    """Features by image number, read from disk on demand."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds the arrays that `build_store` wrote."""
        loaded = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        self.starts: np.ndarray = np.asarray(loaded.pop("starts"))
        self.points, self.descriptors = loaded["points"], loaded["descriptors"]
        self._detail, self._content = loaded["detail"], loaded["content"]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> Features:
        """The features of one image."""
        own = slice(self.starts[number], self.starts[number + 1])
        content = np.unpackbits(self._content[number]).reshape(DETAIL, DETAIL).astype(bool)
        return Features(np.array(self.points[own]), np.array(self.descriptors[own]), self._detail[number], content)


@lru_cache(maxsize=1)
def open_store(folder: Path) -> FeatureStore:
    """The store in a folder, opened once per process."""
    return FeatureStore(folder)


def build_store(paths: Sequence[Path], folder: Path, max_features: int, workers: int) -> FeatureStore:
    """Describe all images; finished blocks in `folder` are reused."""
    target = folder / "features"
    if target.is_dir():
        _check_sums(target)
        open_store.cache_clear()
        return open_store(target)
    blocks = [(start, folder / f"features-{start:07d}.npz") for start in range(0, len(paths), BLOCK)]
    with progress(len(paths), "finding features") as advance:
        for start, file in blocks:
            part = paths[start : start + BLOCK]
            if not file.exists():
                _write_block(file, list(ordered_map(partial(describe, max_features=max_features), part, workers)))
            advance(len(part), "")
    _merge([file for _, file in blocks], target)
    open_store.cache_clear()  # the folder may have held another set
    for _, file in blocks:
        file.unlink()
    return open_store(target)


def write_part(file: Path, **arrays: np.ndarray) -> None:
    """Save a finished part of the work atomically, with checksums."""
    with new_file(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read_part(file: Path, name: str) -> np.ndarray:
    """One array of a finished part. Raises LeukoError where its bytes have changed."""
    try:
        with np.load(file) as arrays:
            return np.asarray(arrays[name])
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, NotImplementedError) as error:
        raise _damaged(file) from error


def _damaged(file: Path) -> LeukoError:
    return LeukoError(f"{file}, part of an interrupted search, is damaged: remove {file.parent} and run again")


def write_sums(folder: Path) -> None:
    """Write the SHA-256 of every array of a store beside them."""
    write_json(folder / SUMS, {name: _sum(folder / f"{name}.npy") for name in ARRAYS})


def _check_sums(folder: Path) -> None:
    """Raise LeukoError where the bytes of an array are not those that were written."""
    try:
        wanted = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        good = all(wanted.get(name) == _sum(folder / f"{name}.npy") for name in ARRAYS)
    except (OSError, ValueError, AttributeError):
        good = False
    if not good:
        raise _damaged(folder / SUMS)


def _sum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_block(file: Path, described: list[Features]) -> None:
    write_part(
        file,
        counts=np.array([len(each.points) for each in described], np.int64),
        points=np.concatenate([each.points for each in described]),
        descriptors=np.concatenate([each.descriptors for each in described]),
        detail=np.stack([each.detail for each in described]),
        content=np.stack([np.packbits(each.content) for each in described]),
    )


def _merge(files: Sequence[Path], target: Path) -> None:
    """Join the blocks, so that memory holds one of them."""
    with new_folder(target) as folder:
        counts = np.concatenate([read_part(file, "counts") for file in files])
        starts = np.concatenate([[0], np.cumsum(counts)])
        np.save(folder / "starts.npy", starts)
        for name in ARRAYS[1:]:
            rows = int(starts[-1]) if name in ("points", "descriptors") else len(counts)
            _join(folder / f"{name}.npy", files, name, rows)
        write_sums(folder)


def _join(path: Path, files: Sequence[Path], name: str, rows: int) -> None:
    """Write what np.save would of one array of all blocks, `rows` long together."""
    first = read_part(files[0], name)
    facts = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {**facts, "shape": (rows, *first.shape[1:])})
        for file in files:
            stream.write(read_part(file, name).tobytes())
