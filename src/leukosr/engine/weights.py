"""Weight files: safetensors whose header says what the tensors are, so that no file needs guessing.

Nothing in a file is trusted before it is checked against the file's content: sizes, counts and values.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

import leukosr
from leukosr.errors import LeukoError
from leukosr.files import new_file
from leukosr.layout import OWN_WEIGHTS, require_weights
from leukosr.quoting import short

(SUFFIX,) = OWN_WEIGHTS
VERSION_KEY = "leukosr_version"
DIGEST_KEY = "leukosr_sha256"
# announces the digest, so that a changed byte in the name of that entry is noticed, too
CHECKED = {"leukosr_checksum": DIGEST_KEY}
LONGEST_HEADER = 16 << 20  # bytes; that of a network of 1,000 tensors takes 0.1 MB
MOST_TENSORS = 20_000
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, str],
    version: str | None = leukosr.__version__,
) -> None:
    """Write named tensors and a header of strings to `path` (.safetensors), all or nothing.

    The file appears under its name only when it is complete: an older file stays untouched if writing fails. Parent
    folders are made. The version of LeukoSR (unless it is None: for files that are to be the same in every version) and
    the SHA-256 of header and tensors are added to the header. Equal tensors and headers are equal files. Raises
    LeukoError when the name does not end in .safetensors or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise LeukoError(f"weights are written as {SUFFIX} files, and {path} has another ending: rename it")
    # A contiguous copy of each: safetensors refuses views of one storage and channels_last.
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    written_by = {VERSION_KEY: version} if version is not None else {}
    content = safetensors.torch.save(plain, {**header, **written_by, **CHECKED})
    start = 8 + int.from_bytes(content[:8], "little")  # a length, a JSON header of it, then the tensors
    table, body = json.loads(content[8:start]), memoryview(content)[start:]
    digest = _digest_of(table)
    digest.update(body)
    table["__metadata__"][DIGEST_KEY] = digest.hexdigest()
    text = _sorted(table)
    text += b" " * (-len(text) % 8)  # the tensors start at a multiple of 8
    try:
        with new_file(path) as temporary, temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())  # or a crash after the rename could leave an empty file under the name
    except OSError as error:
        raise LeukoError(f"the weights {path} could not be written: {error}") from error


def _sorted(table: Mapping[str, Any]) -> bytes:
    """A header with sorted metadata.

    safetensors writes it in an order that changes from call to call; equal weights must be equal files, or DVC would
    see every repeated training as changed.
    """
    metadata = dict(sorted(table["__metadata__"].items()))
    return json.dumps({**table, "__metadata__": metadata}, separators=(",", ":"), ensure_ascii=False).encode()


def _digest_of(table: Mapping[str, Any]) -> "hashlib._Hash":
    """SHA-256 of a header without the digest's own entry; the bytes of the tensors follow."""
    metadata = {key: value for key, value in table["__metadata__"].items() if key != DIGEST_KEY}
    return hashlib.sha256(_sorted({**table, "__metadata__": metadata}))


def read_tensors(path: str | Path, required: Iterable[str] = ()) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and header of a .safetensors file; the header must hold the `required` keys.

    Raises LeukoError for a missing, damaged or foreign file and for a header that lacks a required key. A file that
    LeukoSR wrote is damaged when its SHA-256 says so; only older files of LeukoSR, and others', have none.
    """
    with opened(path, whole=True) as file:
        header = dict(file.metadata() or {})
        # A copy: what safetensors hands out may be a view into the file on disk.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    missing = [key for key in required if key not in header]
    if missing:
        raise LeukoError(
            f"{path} is a safetensors file, but its header lacks {', '.join(missing)}, so LeukoSR did not "
            "write it and cannot tell what network it holds; use weights that LeukoSR saved"
        )
    return tensors, {key: value for key, value in header.items() if key not in (DIGEST_KEY, *CHECKED)}


def read_header(path: Path) -> dict[str, str]:
    """The header of a file that LeukoSR wrote, without its tensors, which are not checked.

    Raises LeukoError for a missing, damaged or foreign file.
    """
    with opened(path) as file:
        return dict(file.metadata() or {})


@contextmanager
def opened(path: str | Path, whole: bool = False) -> Iterator[Any]:
    """A .safetensors file as that package opens it; `whole` checks its SHA-256 first, which reads every byte.

    Raises LeukoError for a missing, damaged or foreign file, also where that shows only in the block.
    """
    path = require_weights(path, OWN_WEIGHTS)
    try:
        _check_header(path, whole)
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise LeukoError(
            f"{path} cannot be read as a safetensors file ({short(str(error), 200)}): it is damaged, cut short or "
            "something else; make or copy it again"
        ) from error


def _check_header(path: Path, whole: bool) -> None:
    """Raise ValueError for a header that promises too much, or, with `whole`, whose SHA-256 is not that of the file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if file.read(1) != b"{":
            raise ValueError("it does not begin as one")
        if length > min(LONGEST_HEADER, path.stat().st_size - 8):
            raise ValueError(f"its header is to have {length} bytes, the file has {path.stat().st_size}")
        if not whole:
            return
        file.seek(8)
        table = json.loads(file.read(length))
        metadata = table.get("__metadata__", {})
        if len(table) > MOST_TENSORS:
            raise ValueError(f"it claims {len(table)} tensors, at most {MOST_TENSORS} are read")
        if {DIGEST_KEY, *CHECKED} & metadata.keys():
            found = hashlib.file_digest(file, lambda: _digest_of(table)).hexdigest()
            if found != metadata.get(DIGEST_KEY):
                raise ValueError("its SHA-256 is not that of its bytes")


def first_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """A description of the first tensor that is missing, of another shape or unexpected; None if all fit."""
    for name, tensor in expected.items():
        shape = tuple(tensor.shape)
        if name not in found:
            return f"tensor {name} of shape {shape} is missing"
        if tuple(found[name].shape) != shape:
            return f"tensor {name} has shape {tuple(found[name].shape)} where {shape} is expected"
    extra = next((name for name in found if name not in expected), None)
    return extra and f"tensor {short(extra)} of shape {tuple(found[extra].shape)} is not expected"


def load_into(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors of the model's names and shapes into it, in its own types.

    Raises LeukoError that names `path`, and leaves the model as it was, where one of them holds anything but finite
    numbers in plain memory.
    """
    fitted = {}
    for name, wanted in model.state_dict().items():
        tensor = tensors[name].detach()
        if fault := _fault(tensor, wanted.dtype):
            raise LeukoError(f"{path} holds {fault} (tensor {name}): use other weights")
        fitted[name] = tensor.to(wanted.dtype)
    model.load_state_dict(fitted)


def finite(model: nn.Module) -> bool:
    """Whether all parameters and buffers are finite numbers."""
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def check_numbers(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise LeukoError that names `path` where a tensor holds anything but finite numbers in plain memory."""
    for name, tensor in tensors.items():
        wanted = torch.float32 if tensor.is_floating_point() else tensor.dtype
        if fault := _fault(tensor, wanted):
            raise LeukoError(f"{path} holds {fault} (tensor {name}): use other weights")


def _fault(tensor: Tensor, wanted: torch.dtype) -> str | None:
    """A description of why a network whose tensor is of type `wanted` cannot use this one."""
    if tensor.is_quantized:
        return "quantised values"
    if tensor.layout != torch.strided or tensor.is_nested:
        return "a sparse or nested tensor where a dense one is needed"
    if tensor.is_meta:
        return "no values, only shapes"
    if tensor.dtype not in FLOATS and (wanted.is_floating_point or tensor.is_floating_point() or tensor.is_complex()):
        return f"values of type {_word(tensor.dtype)} where floating-point numbers are needed"
    cast = tensor.to(wanted) if wanted.is_floating_point else tensor  # a large float64 is infinite as float32
    broken = int(tensor.numel() - cast.isfinite().sum())
    return (
        f"values that are not finite, {broken} of {tensor.numel()} NaN or infinite as {_word(wanted)}"
        if broken
        else None
    )


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
