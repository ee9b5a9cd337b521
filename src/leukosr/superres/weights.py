"""Generators on disk: our own safetensors files, and the weights of others read safely."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from leukosr.engine.weights import SUFFIX, check_numbers, first_difference, load_into, read_tensors, write_tensors
from leukosr.errors import LeukoError
from leukosr.layout import require_weights
from leukosr.pretrained.checkpoints import held, read_checkpoint, state_dicts
from leukosr.pretrained.named import find_weights
from leukosr.quoting import short
from leukosr.superres import GENERATORS
from leukosr.superres.foreign import ForeignNetwork, read_foreign
from leukosr.superres.networks import Generator

SHUFFLED_BY = "shuffled by "  # of masks, in the header, and the seed by which images got those of others
LARGEST_SCALE, MOST_BLOCKS, WIDEST = 64, 500, 65_536


class NoGenerator(LeukoError):
    """A sound weight file that holds a classifier, or a network that is not known here."""


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator in evaluation mode and what it is: its key in GENERATORS, scale, other arguments.

    only_class: the one class that it was trained on, by its file; empty where there were several. masks_by: it
    takes the masks of other images, shuffled by this seed; None: those of the images themselves, or none.
    header: what a file of ours says of it.
    """

    model: Generator
    architecture: str
    scale: int
    arguments: dict[str, int]
    only_class: str = ""
    masks_by: int | None = None
    header: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stored:
    """What a weight file holds: tensors by name, and the network they belong to."""

    tensors: dict[str, Tensor]
    architecture: str
    scale: int
    arguments: dict[str, int]
    only_class: str = ""
    masks_by: int | None = None
    header: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        arguments = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        return f"{self.architecture} x{self.scale} ({arguments})"


def save_generator(
    path: str | Path,
    model: nn.Module,
    architecture: str,
    scale: int,
    arguments: dict[str, int],
    note: dict[str, str] | None = None,
) -> None:
    """Write a generator as safetensors, atomically, with a header from which `load_generator` rebuilds it.

    `architecture` is its key in GENERATORS and `arguments` are its constructor's arguments besides the scale;
    `note` adds entries to the header. Raises ValueError when model and description disagree, so that no
    file is written that could not be loaded, and LeukoError when writing fails.
    """
    header = {"architecture": architecture, "scale": str(scale), "arguments": json.dumps(arguments)}
    if clash := header.keys() & (note or {}).keys():
        raise ValueError(f"the note may not replace the header's {sorted(clash)}")
    state = model.state_dict()
    if difference := first_difference(_expected_tensors(architecture, scale, arguments), state):
        raise ValueError(f"the model is not {architecture} x{scale} with {arguments}: {difference}")
    write_tensors(path, state, {**header, **(note or {})})


def load_generator(path: str | Path, device: str | torch.device = "cpu") -> LoadedGenerator:
    """Read a generator from our .safetensors or from anyone's weights, on `device`, in eval mode.

    `path` may be a word, `pretrained/NAME`. A .safetensors file of ours has a header that names the network. Other
    files are read without running code (`weights_only=True`), and their network is told from the names and shapes of
    the tensors, bare or in the wrappers of common frameworks: one of GENERATORS, or one that spandrel knows. Raises
    LeukoError when the file is missing, damaged, of no such network, does not fit it, promises more than it holds, or
    holds values that are not finite numbers. The global random state is left as it was.
    """
    path = find_weights(path)
    stored = _read(path)
    if isinstance(stored, ForeignNetwork):
        return LoadedGenerator(stored.to(device).eval(), stored.architecture, stored.scale, {})
    try:
        expected = _expected_tensors(stored.architecture, stored.scale, stored.arguments)
    except (LeukoError, TypeError, RuntimeError) as error:  # arguments that the constructor refuses
        raise LeukoError(f"{path} holds {stored}, which cannot be built: {error}") from error
    if difference := first_difference(expected, stored.tensors):
        raise LeukoError(f"{path} looks like {stored}, but {difference}; it is damaged or another network")
    with torch.random.fork_rng(devices=[]):  # building initialises weights that are replaced at once
        model = GENERATORS[stored.architecture](scale=stored.scale, **stored.arguments)
    load_into(model, stored.tensors, path)
    return LoadedGenerator(
        model.to(device).eval(),
        stored.architecture,
        stored.scale,
        dict(stored.arguments),
        stored.only_class,
        stored.masks_by,
        stored.header,
    )


def init_from(model: nn.Module, path: str | Path) -> None:
    """Copy the weights at `path` into an existing generator of the same network, for fine-tuning.

    `path` may be a word, `pretrained/NAME`. Every tensor must be there with its shape; tensors that fit need no header
    that names their network. Raises LeukoError, and leaves the model as it was, when the file cannot be read or is of
    another network or another size.
    """
    path = find_weights(path)
    if (tensors := _fitting(path, model.state_dict())) is not None:
        load_into(model, tensors, path)
        return
    stored = _read(path)
    if isinstance(stored, ForeignNetwork):
        raise LeukoError(
            f"{path} holds {stored.architecture} x{stored.scale}, which can be used but not trained here: start from "
            f"weights of {', '.join(GENERATORS)}"
        )
    if difference := first_difference(model.state_dict(), stored.tensors):
        expected = identify(model.state_dict()) or type(model).__name__
        raise LeukoError(
            f"{path} holds {stored} where {expected} is to be initialised: {difference}; choose weights of "
            "the same network, scale and size, or change the configuration to theirs"
        )
    load_into(model, stored.tensors, path)


def _fitting(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The tensors of a file that does not say its network, where their names and shapes are those expected."""
    if require_weights(path).suffix == SUFFIX:
        tensors, header = read_tensors(path)
        states = [] if "architecture" in header else state_dicts(path, tensors)
    else:
        states = state_dicts(path, read_checkpoint(path))
    return next((held(path, state) for state in states if first_difference(expected, state) is None), None)


def _read(path: Path) -> _Stored | ForeignNetwork:
    """The tensors and the network of a weight file of any kind; of a foreign architecture the network itself."""
    if require_weights(path).suffix == SUFFIX:
        tensors, header = read_tensors(path)
        stored = _described(path, tensors, header) if "architecture" in header else _recognised(path, tensors)
    else:
        stored = _recognised(path, read_checkpoint(path))
    if isinstance(stored, _Stored):
        _check_sizes(path, stored)
    return stored


def _described(path: Path, tensors: dict[str, Tensor], header: Mapping[str, str]) -> _Stored:
    """What the header that `save_generator` wrote says."""
    architecture = header["architecture"]
    if "classes" in header:
        raise NoGenerator(
            f"{path} holds a classifier ({short(architecture)}), which makes no images: name weights of a "
            "super-resolution training, e.g. outputs/STUDY/sr/TRAINING/last.safetensors"
        )
    if architecture not in GENERATORS:
        raise LeukoError(
            f"{path} holds weights of {short(architecture)!r}, which is not a generator here; known are "
            f"{', '.join(GENERATORS)}"
        )
    try:
        scale, arguments = int(header["scale"]), json.loads(header["arguments"])
        if not all(type(value) is int for value in arguments.values()):
            raise ValueError("numbers are whole")
    except (KeyError, ValueError, AttributeError, RecursionError) as error:
        found = [short(header.get(key, "missing")) for key in ("scale", "arguments")]
        raise LeukoError(
            f"{path} has a damaged header: scale is {found[0]!r} where a whole number is expected, or "
            f"arguments is {found[1]!r} where a JSON object of whole numbers is; save it again"
        ) from error
    return _Stored(
        tensors, architecture, scale, arguments, header.get("only_class", ""), _masks_by(path, header), header
    )


def _masks_by(path: Path, header: Mapping[str, str]) -> int | None:
    """The seed of shuffled masks; None where a network takes an image's own masks, or none."""
    if (word := header.get("masks")) is None:
        return None
    seed = word.removeprefix(SHUFFLED_BY)
    if not (seed.isascii() and seed.isdigit() and len(seed) < 20):
        raise LeukoError(f"{path} does not say by which seed its masks were shuffled ({short(word)!r}): train it again")
    return int(seed)


def _check_sizes(path: Path, stored: _Stored) -> None:
    """Refuse numbers that no real network has, before anything of that size is built."""
    deepest = min(MOST_BLOCKS, len(stored.tensors))
    most = {"scale": LARGEST_SCALE, "blocks": deepest, "convolutions": deepest}
    for name, value in {"scale": stored.scale, **stored.arguments}.items():
        if abs(value) > most.get(name, WIDEST):
            raise LeukoError(
                f"{path} holds {len(stored.tensors)} tensors of a network whose {short(name)} is said to be above "
                f"{most.get(name, WIDEST)}: it is damaged or made to fill the memory; use other weights"
            )


def _recognised(path: Path, content: object) -> _Stored | ForeignNetwork:
    """A network known by the names and shapes of its tensors, in whatever wrapper they are."""
    states = state_dicts(path, content)
    for state in states:
        if stored := identify(state):
            return replace(stored, tensors=held(path, stored.tensors))
    for state in states:
        tensors = held(path, state)
        check_numbers(tensors, path)
        if foreign := read_foreign(tensors, path):
            return foreign
    raise NoGenerator(
        f"{path} holds weights of no network known here ({', '.join(GENERATORS)}, and those of spandrel): its tensors "
        f"begin with {', '.join(short(name) for name in list(states[0])[:4])}"
    )


def identify(state: dict[str, Tensor]) -> _Stored | None:
    """The network that a state dict belongs to, told from its names and shapes; None for an unknown one."""
    for architecture, network in GENERATORS.items():
        try:
            arguments = network.arguments_from(state)
        except IndexError:  # a tensor of fewer dimensions than that network's
            continue
        if arguments is not None:
            scale = arguments.pop("scale")
            return _Stored(state, architecture, scale, arguments)
    return None


def _expected_tensors(architecture: str, scale: int, arguments: Mapping[str, int]) -> dict[str, Tensor]:
    """Names and shapes of a generator's tensors, on the meta device: no memory, no random numbers."""
    with torch.device("meta"):
        return GENERATORS[architecture](scale=scale, **arguments).state_dict()
