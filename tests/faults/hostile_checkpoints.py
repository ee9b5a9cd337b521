"""Weight files that are made to run code, to fill the memory, or to be taken for something else.

`GENERATORS_OF_OTHERS` and `CLASSIFIERS` map names to functions that give the bytes of such files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from leukosr.classify.backbones import BACKBONES
from leukosr.engine.weights import CHECKED, DIGEST_KEY, _digest_of, _sorted
from leukosr.superres import GENERATORS

SMALL = {"srgan": {"features": 8, "blocks": 2}, "real_esrgan": {"features": 8, "blocks": 2, "growth": 4}}
HEADER = {"architecture": "srgan", "scale": "4", "arguments": json.dumps(SMALL["srgan"])}
CLASSIFIER_HEADER = {"architecture": "resnet50", "classes": '["a", "b", "c"]', "size": "[120, 160]"}
Make = Callable[[], bytes]


class Program:
    """Unpickling this would make the file MARKER in the working directory."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch MARKER",)


class View:
    """A tensor that reaches beyond its storage."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        storage = torch.storage.TypedStorage(wrap_storage=torch.zeros(4).untyped_storage(), dtype=torch.float32)
        return torch._utils._rebuild_tensor_v2, (storage, 0, (self.count,), (1,), False, OrderedDict())


@cache
def network(method: str = "srgan") -> nn.Module:
    torch.manual_seed(0)
    return GENERATORS[method](scale=4, **SMALL[method])


def state(method: str = "srgan", **changes: Tensor) -> dict[str, Tensor]:
    """The tensors of a small network; dots in the names of changes are written __."""
    return {**network(method).state_dict(), **{name.replace("__", "."): tensor for name, tensor in changes.items()}}


def archive(content: object, **options: bool) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def parts(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return [(name, opened.read(name)) for name in opened.namelist()]


def zipped(entries: Sequence[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, content in entries:
            target.writestr(name, content)
    return buffer.getvalue()


def expanded(method: str, **arguments: int) -> bytes:
    """A network of any size whose tensors are one number each, by strides of 0."""
    with torch.device("meta"):
        wanted = GENERATORS[method](scale=4, **{**SMALL[method], **arguments}).state_dict()
    return archive({n: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for n, tensor in wanted.items()})


def lying_storage(claimed: int) -> bytes:
    """A pickle that claims a larger storage than the archive holds."""
    content = parts(archive({"a": torch.arange(4.0)}))
    lie = b"J" + claimed.to_bytes(4, "little")  # an integer of four bytes for the K\x04 after the location
    changed = [(name, re.sub(rb"(?s)(?<=cpuq.)K\x04", lie, part)) for name, part in content]
    assert changed != content
    return zipped(changed)


def bomb(size: int) -> bytes:
    """A compressed part that unpacks to `size` bytes."""
    entries = parts(archive(state()))
    largest = max(entries, key=lambda entry: len(entry[1]) if "/data/" in entry[0] else 0)[0]
    return zipped([(n, bytes(size) if n == largest else part) for n, part in entries], zipfile.ZIP_DEFLATED)


def overlapping() -> bytes:
    """A directory that names the same bytes ten thousand times."""
    content = archive(state())
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        start, names = opened.start_dir, opened.namelist()
    directory, end = content[start:-22], content[-22:]
    directory += directory[: 46 + len(names[0])] * 10_000
    count = (len(names) + 10_000).to_bytes(2, "little")
    return content[:start] + directory + end[:8] + count * 2 + len(directory).to_bytes(4, "little") + end[16:]


def tar() -> bytes:
    """torch's oldest format, with a member that would leave the folder."""
    buffer, content = io.BytesIO(), pickle.dumps(Program())
    with tarfile.open(fileobj=buffer, mode="w") as target:
        for name in ("storages", "tensors", "pickle", "../../../../ESCAPED"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def cyclic() -> bytes:
    content: dict[str, Any] = {}
    content |= dict.fromkeys(("params", "state_dict", "model", "generator", "ema", "netG"), content)
    return archive(content)


def saved_by_numpy(save: Callable[..., None], *arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays)
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Identity(), torch.zeros(1)), buffer)
    return buffer.getvalue()


def framed(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of a header and what follows, whatever they are."""
    header += b" " * (-len(header) % 8)
    return (len(header) if length is None else length).to_bytes(8, "little") + header + body


def ours(
    tensors: dict[str, Tensor] | None = None, change: Callable[[dict[str, Any]], None] | None = None, **header: str
) -> bytes:
    """A file as LeukoSR writes it, changed, with the right SHA-256: who makes a hostile file can compute it."""
    content = safetensors.torch.save(state() if tensors is None else tensors, {**HEADER, **header, **CHECKED})
    start = 8 + int.from_bytes(content[:8], "little")
    table, body = json.loads(content[8:start]), content[start:]
    if change is not None:
        change(table)
    digest = _digest_of(table)
    digest.update(body)
    table["__metadata__"][DIGEST_KEY] = digest.hexdigest()
    return framed(_sorted(table), body)


def first_entry(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Let the first tensor of a header lie about itself."""

    def change(table: dict[str, Any]) -> None:
        table[next(name for name in table if name != "__metadata__")] |= changes

    return change


def first_twice() -> bytes:
    content = ours()
    start = 8 + int.from_bytes(content[:8], "little")
    text, table = content[8:start].decode().rstrip(), json.loads(content[8:start])
    name = next(name for name in table if name != "__metadata__")
    lie = {**table[name], "shape": [10**12]}
    return framed(f"{text[:-1]},{json.dumps(name)}:{json.dumps(lie)}}}".encode(), content[start:])


EMPTY = torch.zeros(0)
PROGRAMS: dict[str, Make] = {
    "program, pickled.pth": lambda: pickle.dumps({"params": Program()}),
    "program in an archive.pth": lambda: archive({"params": {"a": Program()}}),
    "program beside tensors.pth": lambda: archive({"params_ema": state(), "x": Program()}),
    "program in the old format.pth": lambda: archive({"a": Program()}, _use_new_zipfile_serialization=False),
    "program by opcodes.pth": lambda: b"cos\nsystem\n(S'touch MARKER'\ntR.",
    "program by eval.pth": lambda: b"\x80\x02cbuiltins\neval\nX\x30\x00\x00\x00"
    + b"__import__('os').system('touch MARKER')".ljust(48) + b"\x85R.",
    "program in a second archive.pth": lambda: archive(state()) + archive({"params": {"a": Program()}}),
    "program in a tar.pth": tar,
    "program in a NumPy file.pth": lambda: saved_by_numpy(np.save, np.array([Program()], dtype=object)),
    "a pickled network.pth": lambda: archive(network()),
    "TorchScript.pt": script,
    "TorchScript.pth": script,
}  # fmt: skip
BOMBS: dict[str, Make] = {
    "expanded to 5 TB.pth": partial(expanded, "srgan", features=100_000),
    "expanded to 5 GB.pth": partial(expanded, "srgan", features=3000),
    "expanded RRDB.pth": partial(expanded, "real_esrgan", features=3000),
    "compressed.pth": partial(bomb, 100 << 20),
    "overlapping parts.pth": overlapping,
    "storage of 1 GB claimed.pth": partial(lying_storage, 1 << 28),
    "storage a little larger claimed.pth": partial(lying_storage, 5),
    "view of 4 TB.pth": lambda: archive({"params": {"a": View(10**12)}}),
    "view of 400 bytes.pth": lambda: archive({"params": {"a": View(100)}}),
    "view of 4 GB, old format.pth": lambda: archive({"a": View(10**9)}, _use_new_zipfile_serialization=False),
    "wrappers in a circle.pth": cyclic,
    "a thousand prefixes.pth": lambda: archive({"module." * 1000 + name: tensor for name, tensor in state().items()}),
    "30,000 tensors.safetensors": lambda: ours({f"body.{number}.conv1.weight": EMPTY for number in range(30_000)}),
    "20,000 blocks.pth": lambda: archive(
        state("real_esrgan") | {f"body.{number}.rdb1.conv1.weight": EMPTY for number in range(2, 20_000)}
    ),
    "enlarging by 2 to the 18,000.pth": lambda: archive(
        state() | {f"upsampling.{number}.conv.weight": EMPTY for number in range(2, 18_000)}
    ),
    "blocks 1e9.safetensors": lambda: ours(arguments='{"features": 8, "blocks": 1000000000}'),
    "features 1e9.safetensors": lambda: ours(arguments='{"features": 1000000000, "blocks": 2}'),
    "scale 2**200.safetensors": lambda: ours(scale=str(2**200)),
    "number of 300 digits.safetensors": lambda: ours(arguments=f'{{"features": {"9" * 300}, "blocks": 2}}'),
    "number of 5,000 digits.safetensors": lambda: ours(arguments=f'{{"features": {"9" * 5000}, "blocks": 2}}'),
    "scale of 5,000 digits.safetensors": lambda: ours(scale="9" * 5000),
    "lists in lists.safetensors": lambda: ours(arguments="[" * 200_000),
    "header of lists in lists.safetensors": lambda: framed(b"[" * 200_000),
    "header of 20 MB.safetensors": lambda: ours(padding="x" * (20 << 20)),
    "header of 2**63 bytes.safetensors": lambda: framed(b"{}", length=2**63 - 1),
    "tensor of 4 TB.safetensors": lambda: ours(change=first_entry(shape=[10**12], data_offsets=[0, 4 * 10**12])),
    "pickle of lists in lists.pth": lambda: b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "pickle of a large memo.pth": lambda: b"\x80\x02}r\xff\xff\xff\x7f.",
    "pickle of a long number.pth": lambda: b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\x7f" * 1000,
    "key of 5,000 digits.pth": lambda: archive({10**5000: EMPTY}),
    "sparse tensor of 4 TB.pth": lambda: archive(state(tail__bias=torch.sparse_coo_tensor(
        torch.tensor([[10**9]]), torch.tensor([1.0]), (2**40,), check_invariants=False))),
}  # fmt: skip
LIES: dict[str, Make] = {
    "features -8.safetensors": lambda: ours(arguments='{"features": -8, "blocks": 2}'),
    "features 0.safetensors": lambda: ours(arguments='{"features": 0, "blocks": 2}'),
    "features 16.safetensors": lambda: ours(arguments='{"features": 16, "blocks": 2}'),
    "features 8.0.safetensors": lambda: ours(arguments='{"features": 8.0, "blocks": 2}'),
    "features Infinity.safetensors": lambda: ours(arguments='{"features": Infinity, "blocks": 2}'),
    "features true.safetensors": lambda: ours(arguments='{"features": true, "blocks": 2}'),
    "arguments null.safetensors": lambda: ours(arguments="null"),
    "unknown argument.safetensors": lambda: ours(arguments='{"features": 8, "blocks": 2, "self": 1}'),
    "scale 3.safetensors": lambda: ours(scale="3"),
    "scale ٤.safetensors": lambda: ours(scale="٤", arguments="[]"),
    "unknown network.safetensors": lambda: ours(architecture="\x1b[31m" + "x" * 10_000),
    "another network.safetensors": lambda: ours(architecture="real_esrgan"),
    "a classifier.safetensors": lambda: ours(None, None, **CLASSIFIER_HEADER),
    "overlapping tensors.safetensors": lambda: ours(change=first_entry(data_offsets=[4, 8])),
    "negative shape.safetensors": lambda: ours(change=first_entry(shape=[-1])),
    "unknown type.safetensors": lambda: ours(change=first_entry(dtype="F31")),
    "first tensor twice.safetensors": first_twice,
    "no JSON.safetensors": lambda: framed(b"{header}"),
    "no UTF-8.safetensors": lambda: framed(b'{"\xff": 1}'),
    "metadata of numbers.safetensors": lambda: framed(b'{"__metadata__": {"leukosr_sha256": 3}}'),
    "metadata of lists.safetensors": lambda: framed(b'{"__metadata__": ["leukosr_sha256"]}'),
    "a number.safetensors": lambda: framed(b"3"),
    "half a file.safetensors": lambda: ours()[: len(ours()) // 2],
    "half a file.pth": lambda: archive(state())[: len(archive(state())) // 2],
    "more than a file.safetensors": lambda: ours() + b"more",
    "nothing.safetensors": lambda: b"",
    "nothing.pth": lambda: b"",
    "noise.safetensors": lambda: hashlib.shake_256(b"leukosr").digest(5000),
    "noise.pth": lambda: hashlib.shake_256(b"leukosr").digest(5000),
    "noise in a zip.pth": lambda: b"PK\x03\x04" + hashlib.shake_256(b"leukosr").digest(5000),
    "another zip.pth": lambda: zipped([("report.docx", b"text")]),
    "archive as safetensors.safetensors": lambda: archive(state()),
    "safetensors as an archive.pth": ours,
    "NumPy arrays.pth": lambda: saved_by_numpy(np.savez, *(tensor.numpy() for tensor in state().values())),
    "a tensor more.pth": lambda: archive(state(extra__weight=torch.zeros(3))),
    "a tensor less.pth": lambda: archive({name: tensor for name, tensor in state().items() if name != "tail.bias"}),
    "a number for a tensor.pth": lambda: archive(state(head__0__weight=torch.tensor(3.0))),
    "a number for an RRDB's tensor.pth": lambda: archive(state("real_esrgan", conv_first__weight=torch.tensor(3.0))),
    "a block of a large number.pth": lambda: archive(state("real_esrgan") | {
        "body.99999999999999.rdb1.conv1.weight": torch.zeros(4, 8, 3, 3)}),
    "names with escapes.pth": lambda: archive({"ü\u202e\n\x1b[31m" * 50: torch.zeros(1)}),
    "names with escapes, a network.pth": lambda: archive(state() | {"ü\u202e\n\x1b[31m": torch.zeros(1)}),
    "numbers as names.pth": lambda: archive(dict(enumerate(state().values()))),
    "a list.pth": lambda: archive([1, 2]),
    "a tensor.pth": lambda: archive(torch.zeros(3)),
    "an empty dict.pth": lambda: archive({}),
    "NaN.safetensors": lambda: ours(state(tail__bias=torch.tensor([0.0, float("nan"), 0.0]))),
    "meta.pth": lambda: archive({name: tensor.to("meta") for name, tensor in state().items()}),
}  # fmt: skip
HOSTILE: dict[str, Make] = {**PROGRAMS, **BOMBS, **LIES}


def classifier(tensors: dict[str, Tensor] | None = None, **header: str) -> bytes:
    """A classifier's file, changed."""
    torch.manual_seed(0)
    return ours(tensors or BACKBONES["resnet50"](3, "none").state_dict(), None, **{**CLASSIFIER_HEADER, **header})


CLASSIFIERS: dict[str, Make] = {
    "unknown backbone": lambda: classifier(architecture="\x1b[31m" + "x" * 10_000),
    "no classes": lambda: classifier(classes="[]"),
    "a class less": lambda: classifier(classes='["a", "b"]'),
    "a class twice": lambda: classifier(classes='["a", "b", "b"]'),
    "classes of numbers": lambda: classifier(classes="[1, 2, 3]"),
    "classes that are no list": lambda: classifier(classes='"abc"'),
    "a million classes": lambda: classifier(classes=json.dumps([str(number) for number in range(1_000_000)])),
    "lists in lists": lambda: classifier(classes="[" * 200_000),
    "no JSON": lambda: classifier(classes="a, b, c"),
    "size of words": lambda: classifier(size='"large"'),
    "size of three": lambda: classifier(size="[1, 2, 3]"),
    "size 0": lambda: classifier(size="[0, 160]"),
    "size 1e12": lambda: classifier(size="[1000000000000, 160]"),
    "size Infinity": lambda: classifier(size="[Infinity, 160]"),
    "ensemble 1e9": lambda: classifier(ensemble="1000000000"),
    "ensemble 2": lambda: classifier(ensemble="2"),
    "ensemble 0": lambda: classifier(ensemble="0"),
    "ensemble of a word": lambda: classifier(ensemble="many"),
    "ensemble of 5,000 digits": lambda: classifier(ensemble="9" * 5000),
    "a generator": ours,
    "Inf": lambda: classifier(
        {**BACKBONES["resnet50"](3, "none").state_dict(), "fc.bias": torch.full((3,), float("inf"))}
    ),
}
