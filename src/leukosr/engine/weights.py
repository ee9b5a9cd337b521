"""Weight files: safetensors whose header says what the tensors are, so that no file needs guessing."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

import leukosr
from leukosr.errors import LeukoError

SUFFIX = ".safetensors"
VERSION_KEY = "leukosr_version"


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write named tensors and a header of strings to `path` (.safetensors), all or nothing.

    The file appears under its name only when it is complete: it is written beside it under a temporary name
    first, and an older file stays untouched if that fails. Parent folders are made. The version of LeukoSR
    is added to the header. Raises LeukoError when the name does not end in .safetensors or the file cannot
    be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise LeukoError(f"Weights are written as {SUFFIX} files, {path} has another ending; rename it.")
    # Own, plainly laid out memory for each: safetensors refuses views of one storage and channels_last.
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    content = _with_sorted_header(safetensors.torch.save(plain, {**header, VERSION_KEY: leukosr.__version__}))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a crash after the rename could leave an empty file under the name
        os.replace(temporary, path)
    except OSError as error:
        raise LeukoError(f"The weights {path} could not be written: {error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _with_sorted_header(content: bytes) -> bytes:
    """The same file with its metadata sorted.

    safetensors writes them in an order that changes from call to call; equal weights are to be equal files,
    or DVC would take every repeated training for a new one.
    """
    start = 8 + int.from_bytes(content[:8], "little")  # a length, a JSON header of it, then the tensors
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors start at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[start:]


def read_tensors(path: str | Path, required: Iterable[str] = ()) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and header of a .safetensors file; the header must hold the `required` keys.

    Raises LeukoError for a missing, damaged or foreign file and for a header that lacks a required key.
    """
    path = require_file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            # A copy: what safetensors hands out may be a view into the file on disk.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise LeukoError(
            f"{path} cannot be read as a safetensors file ({error}): it is damaged, cut short or something "
            "else; make or copy it again."
        ) from error
    missing = [key for key in required if key not in header]
    if missing:
        raise LeukoError(
            f"{path} is a safetensors file, but its header lacks {', '.join(missing)}, so LeukoSR did not "
            "write it and cannot tell what network it holds; use weights that LeukoSR saved."
        )
    return tensors, header


def require_file(path: str | Path) -> Path:
    """`path` as a Path if it is a file; LeukoError when it is missing or a folder."""
    path = Path(path)
    if path.is_file():
        return path
    found = "is a folder" if path.is_dir() else "does not exist"
    raise LeukoError(f"The weights {path} cannot be read: the path {found}; give the path of a weight file.")
