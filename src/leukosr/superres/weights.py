"""Generators on disk: our own safetensors files, and published PyTorch checkpoints read safely."""

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from leukosr.engine.weights import SUFFIX, read_tensors, require_file, write_tensors
from leukosr.errors import LeukoError
from leukosr.superres import GENERATORS

HEADER_KEYS = ("architecture", "scale", "arguments")
CHECKPOINT_SUFFIXES = (".pth", ".pt")
STATE_KEYS = ("params_ema", "params")  # the averaged weights first: they are the ones meant for use


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator in evaluation mode and what it is: name in the registry, scale, other arguments."""

    model: nn.Module
    method: str
    scale: int
    arguments: dict[str, int]


@dataclass(frozen=True)
class _Stored:
    """What a weight file holds: tensors by name, and the network they belong to."""

    tensors: dict[str, Tensor]
    method: str
    scale: int
    arguments: dict[str, int]

    def __str__(self) -> str:
        arguments = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        return f"{self.method} x{self.scale} ({arguments})"


def save_generator(
    path: str | Path,
    model: nn.Module,
    method: str,
    scale: int,
    arguments: dict[str, int],
    note: dict[str, str] | None = None,
) -> None:
    """Write a generator as safetensors, atomically, with a header from which `load_generator` rebuilds it.

    `method` is its name in GENERATORS and `arguments` are its constructor's arguments besides the scale;
    `note` adds entries to the header. Raises ValueError when model and description disagree, so that no
    file is written that could not be loaded, and LeukoError when writing fails.
    """
    header = {"architecture": method, "scale": str(scale), "arguments": json.dumps(arguments)}
    if clash := header.keys() & (note or {}).keys():
        raise ValueError(f"the note may not replace the header's {sorted(clash)}")
    state = model.state_dict()
    if difference := _first_difference(_expected_tensors(method, scale, arguments), state):
        raise ValueError(f"the model is not {method} x{scale} with {arguments}: {difference}")
    write_tensors(path, state, {**header, **(note or {})})


def load_generator(path: str | Path, device: str | torch.device = "cpu") -> LoadedGenerator:
    """Read a generator from our .safetensors or from a foreign .pth checkpoint, on `device`, in eval mode.

    A .safetensors file's header names the network. A .pth file is read with `weights_only=True` (it runs no
    code); its network is told from the names and shapes of the tensors found under `params_ema`, `params`
    or bare. Raises LeukoError when the file is missing, damaged, of no network in GENERATORS, or does not
    fit it. The global random state is left as it was.
    """
    stored = _read(Path(path))
    try:
        expected = _expected_tensors(stored.method, stored.scale, stored.arguments)
    except (LeukoError, TypeError, RuntimeError) as error:  # arguments that the constructor refuses
        raise LeukoError(f"{path} holds {stored}, which cannot be built: {error}") from error
    if difference := _first_difference(expected, stored.tensors):
        raise LeukoError(f"{path} looks like {stored}, but {difference}; it is damaged or another network.")
    with torch.random.fork_rng(devices=[]):  # building initialises weights that are replaced at once
        model = GENERATORS[stored.method](scale=stored.scale, **stored.arguments)
    model.load_state_dict(stored.tensors)
    return LoadedGenerator(model.to(device).eval(), stored.method, stored.scale, dict(stored.arguments))


def init_from(model: nn.Module, path: str | Path) -> None:
    """Copy the weights at `path` into an existing generator of the same network, for fine-tuning.

    Every tensor must be there with its shape. Raises LeukoError, and leaves the model as it was, when the
    file cannot be read or is of another network or another size.
    """
    stored = _read(Path(path))
    if difference := _first_difference(model.state_dict(), stored.tensors):
        expected = _identify(model.state_dict()) or type(model).__name__
        raise LeukoError(
            f"{path} holds {stored} where {expected} is to be initialised: {difference}; choose weights of "
            "the same network, scale and size, or change the configuration to theirs."
        )
    model.load_state_dict(stored.tensors)


def _read(path: Path) -> _Stored:
    """The tensors and the network of a weight file of either kind."""
    if path.suffix == SUFFIX:
        return _read_own(path)
    if path.suffix in CHECKPOINT_SUFFIXES:
        return _read_checkpoint(path)
    endings = ", ".join((SUFFIX, *CHECKPOINT_SUFFIXES))
    raise LeukoError(f"Weights are read from files ending in {endings}; {path} is none of them.")


def _read_own(path: Path) -> _Stored:
    """A file that `save_generator` wrote."""
    tensors, header = read_tensors(path, required=HEADER_KEYS)
    method = header["architecture"]
    if method not in GENERATORS:
        raise LeukoError(
            f"{path} holds weights of {method!r}, which is no generator here; known are {', '.join(GENERATORS)}."
        )
    try:
        scale = int(header["scale"])
        arguments = {str(name): int(value) for name, value in json.loads(header["arguments"]).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise LeukoError(
            f"{path} has a damaged header: scale is {header['scale']!r} where a whole number is expected, or "
            f"arguments is {header['arguments']!r} where a JSON object of whole numbers is; save it again."
        ) from error
    return _Stored(tensors, method, scale, arguments)


def _read_checkpoint(path: Path) -> _Stored:
    """A foreign PyTorch checkpoint, its network told from names and shapes."""
    state = _state_dict(path, _unpickle_safely(require_file(path)))
    if stored := _identify(state):
        return stored
    raise LeukoError(
        f"{path} holds weights of no network known here ({', '.join(GENERATORS)}): its tensors begin with "
        f"{', '.join(list(state)[:4])}."
    )


def _identify(state: dict[str, Tensor]) -> _Stored | None:
    """The network that a state dict belongs to, told from its names and shapes; None for an unknown one."""
    for method, network in GENERATORS.items():
        arguments = network.arguments_from(state)
        if arguments is not None:
            scale = arguments.pop("scale")
            return _Stored(state, method, scale, arguments)
    return None


def _unpickle_safely(path: Path) -> object:
    """What `torch.save` wrote, tensors and plain containers only."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            raise LeukoError(
                f"{path} is refused: it holds Python objects besides tensors, and unpickling those can run "
                "any code; save its state dict alone and use that."
            ) from error
        raise LeukoError(_not_a_checkpoint(path)) from error
    except Exception as error:  # on bytes that are no checkpoint torch raises nearly any type of error
        raise LeukoError(_not_a_checkpoint(path)) from error


def _not_a_checkpoint(path: Path) -> str:
    return f"{path} cannot be read as a PyTorch checkpoint: it is damaged, cut short or something else; copy it again."


def _state_dict(path: Path, content: object) -> dict[str, Tensor]:
    """The state dict in a checkpoint: under one of STATE_KEYS, or the whole of it."""
    found = content
    if isinstance(content, Mapping):
        found = next((content[key] for key in STATE_KEYS if key in content), content)
    if isinstance(found, Mapping) and found and all(isinstance(value, Tensor) for value in found.values()):
        return {str(name): tensor for name, tensor in found.items()}
    keys = ", ".join(map(str, list(content)[:6])) if isinstance(content, Mapping) else type(content).__name__
    raise LeukoError(
        f"{path} holds no state dict: expected tensors by name, under {' or '.join(STATE_KEYS)} or bare, "
        f"and found {keys or 'nothing'}."
    )


def _expected_tensors(method: str, scale: int, arguments: Mapping[str, int]) -> dict[str, Tensor]:
    """Names and shapes of a generator's tensors, on the meta device: no memory, no random numbers."""
    with torch.device("meta"):
        return GENERATORS[method](scale=scale, **arguments).state_dict()


def _first_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """The first tensor that is missing, of another shape or too many, in words; None when all fit."""
    for name, tensor in expected.items():
        shape = tuple(tensor.shape)
        if name not in found:
            return f"tensor {name} of shape {shape} is missing"
        if tuple(found[name].shape) != shape:
            return f"tensor {name} has shape {tuple(found[name].shape)} where {shape} is expected"
    extra = next((name for name in found if name not in expected), None)
    return extra and f"tensor {extra} of shape {tuple(found[extra].shape)} is not expected"
