"""Weights of other frameworks: PyTorch checkpoints read without running code, and the state dicts in their wrappers."""

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from leukosr.errors import LeukoError
from leukosr.layout import require_file
from leukosr.quoting import short

# what frameworks put a generator's tensors under, and before their names (BasicSR, Lightning, DataParallel,
# torch.compile, mmagic); averaged weights first: they are the ones meant for use
WRAPPERS = (
    "params_ema", "generator_ema", "model_ema", "ema", "params", "state_dict", "model_state_dict", "model", "generator",
    "net_g", "netG",
)  # fmt: skip
PREFIXES = ("generator_ema.", "model_ema.", "ema.", "module.", "_orig_mod.", "generator.", "model.", "net_g.", "netG.")
DEEPEST = 4  # wrappers and prefixes around one another


def read_checkpoint(path: Path) -> object:
    """What `torch.save` wrote, tensors and plain containers only; tensors of an archive are views into the file.

    Raises LeukoError for a file that is missing, damaged or compressed, or holds anything that could run code.
    """
    require_file(path)
    try:
        archive = _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces the TorchScript archive that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except (LeukoError, MemoryError):
        raise
    except Exception as error:  # on bytes that are no checkpoint torch raises nearly any type of error
        if not _PROGRAM.search(str(error)):
            raise LeukoError(
                f"{path} cannot be read as a PyTorch checkpoint: it is damaged, cut short or something else; copy it "
                "again"
            ) from error
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise LeukoError(
            f"{path} is refused: it holds Python objects besides tensors{f' ({short(name[1])})' if name else ''}, and "
            "unpickling those can run any code; save its state dict alone and use that"
        ) from error


_PROGRAM = re.compile("unsupported (global|class)|torchscript", re.IGNORECASE)  # in torch's words


def _check_archive(path: Path) -> bool:
    """Whether a file is a zip archive, as torch writes since 1.6; its parts must be stored as they are, and whole.

    torch would unpack compressed ones of any size, and does not look at the checksums of parts that it maps.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise LeukoError(
                    f"{path} is refused: it is compressed, as no file of torch.save is, and may be of any size when "
                    "unpacked; save the weights again with torch.save"
                )
            if sum(part.file_size for part in parts) > path.stat().st_size:
                raise ValueError("its parts overlap")
            if (broken := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {broken} is not that of its bytes")
    return True


def state_dicts(path: Path, content: object) -> list[dict[str, Tensor]]:
    """The state dicts in what a checkpoint holds, the likeliest first. Raises LeukoError where there is none."""
    if states := list(_states(content, set())):
        return states
    keys = [short(key) for key in content if isinstance(key, str)][:6] if isinstance(content, Mapping) else []
    raise LeukoError(
        f"{path} holds no state dict: expected tensors by name, bare or under one of {', '.join(WRAPPERS)}, and found "
        f"{', '.join(keys) or type(content).__name__}"
    )


def _states(content: object, seen: set[int], depth: int = 0) -> Iterator[dict[str, Tensor]]:
    """Every state dict in a checkpoint, the likeliest first."""
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return
    for inner in (content.get(key) for key in WRAPPERS):
        if id(inner) not in seen:  # a pickled container may hold itself
            seen.add(id(inner))
            yield from _states(inner, seen, depth + 1)
    tensors = {name: each for name, each in content.items() if isinstance(name, str) and isinstance(each, Tensor)}
    if tensors:
        yield tensors
    for prefix in PREFIXES:
        part = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        yield from _states(part, seen, depth + 1)


def held(path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors that may be views into the file; refused where they claim more bytes than it has.

    A stride of 0 makes a large tensor of a single number.
    """
    dense = (each for each in tensors.values() if each.layout == torch.strided and not each.is_meta)
    claimed, size = sum(each.numel() * each.element_size() for each in dense), path.stat().st_size
    if claimed > size:
        raise LeukoError(
            f"{path} describes tensors of {claimed} bytes, the file has {size}: it is made to fill the memory; use "
            "other weights"
        )
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
