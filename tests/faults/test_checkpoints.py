"""Hostile weight files: refused in one sentence, within seconds and little memory, and none runs code."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from tests.faults.hostile_checkpoints import (
    BOMBS,
    CLASSIFIERS,
    HOSTILE,
    PROGRAMS,
    archive,
    classifier,
    network,
    ours,
    parts,
    state,
    zipped,
)
from tests.faults.killing import forked
from tests.faults.tally import Tally

from leukosr.classify.weights import load_classifier
from leukosr.errors import LeukoError
from leukosr.superres.weights import init_from, load_generator

SECONDS = 20  # on a busy core; most take a hundredth
MEMORY = 300 << 20  # bytes above what the process has; the largest file has 20 MB
Load = Callable[[Path], object]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def outcome(load: Load, path: Path) -> str:
    """What loading a file ends in: `loaded`, the sentence that refuses it, or what went wrong; in a fork of its own."""
    reading, writing = os.pipe()

    def work() -> None:
        held = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        try:
            load(path)
            said = "loaded"
        except LeukoError as error:
            said = f"refused: {error}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said[:2000].encode(errors="backslashreplace"))

    pid = forked(work)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        deadline = time.monotonic() + SECONDS
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return f"not done after {SECONDS} s"
            time.sleep(0.005)
        return pipe.read().decode() or "killed"


def check_refused(said: str, path: Path) -> None:
    assert said.startswith("refused: "), said
    assert path.name in said, said
    assert said.isprintable(), "a sentence is one line and moves no cursor"
    assert len(said) < 900, said
    assert not any(path.parent.rglob("MARKER")), "it ran"
    assert not any((path.parents[1]).glob("ESCAPED")), "it wrote elsewhere"


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which both networks have been built once, as that takes a second."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for method in ("srgan", "real_esrgan"):
        (folder / "good.pth").write_bytes(archive({"params": state(method)}))
        load_generator(folder / "good.pth")
    return folder


def some(names: list[str], campaign: bool, stride: int) -> list[str]:
    return names if campaign else names[::stride]


def test_hostile_generators_are_refused(tally: Tally, campaign: bool, inside: Path) -> None:
    tally.kind = "hostile checkpoints"
    for name in some(list(HOSTILE), campaign, 4):
        path = inside / name
        with tally.trial(name):
            path.write_bytes(HOSTILE[name]())
            check_refused(outcome(load_generator, path), path)
        path.unlink(missing_ok=True)


def test_hostile_starting_weights_are_refused(tally: Tally, campaign: bool, inside: Path) -> None:
    tally.kind = "hostile checkpoints as the start of train_sr@NAME"
    for name in some([*PROGRAMS, *BOMBS], campaign, 8):
        path = inside / name
        with tally.trial(name):
            path.write_bytes(HOSTILE[name]())
            check_refused(outcome(lambda path: init_from(network(), path), path), path)
        path.unlink(missing_ok=True)


@pytest.mark.usefixtures("small_resnet")
def test_hostile_classifiers_are_refused(tally: Tally, campaign: bool, inside: Path) -> None:
    tally.kind = "hostile classifiers' weights"
    for name in some(list(CLASSIFIERS), campaign, 3):
        path = inside / f"{name}.safetensors"
        with tally.trial(name):
            path.write_bytes(CLASSIFIERS[name]())
            check_refused(outcome(load_classifier, path), path)


def test_places_that_hold_no_file_are_refused(tally: Tally, inside: Path) -> None:
    tally.kind = "weights that are not a file"
    (inside / "folder.pth").mkdir()
    os.mkfifo(inside / "pipe.pth")
    (inside / "zero.pth").symlink_to("/dev/zero")
    (inside / "zero.safetensors").symlink_to("/dev/zero")
    (inside / "circle.pth").symlink_to("circle.pth")
    for name in ("folder.pth", "pipe.pth", "zero.pth", "zero.safetensors", "circle.pth", "absent.pth", "other.onnx"):
        with tally.trial(name):
            check_refused(outcome(load_generator, inside / name), inside / name)


@pytest.mark.usefixtures("small_resnet")
def test_the_good_among_them_load(tally: Tally, inside: Path) -> None:
    tally.kind = "good checkpoints among hostile ones"
    zipslip = zipped([*parts(archive(state())), ("archive/../../../../ESCAPED", b"x")])
    good: dict[str, tuple[Load, bytes]] = {
        "ours.safetensors": (load_generator, ours()),
        "plain.pth": (load_generator, archive(state())),
        "old format.pth": (load_generator, archive(state(), _use_new_zipfile_serialization=False)),
        "bf16.pth": (load_generator, archive({name: tensor.bfloat16() for name, tensor in state().items()})),
        "float64.pth": (load_generator, archive({name: tensor.double() for name, tensor in state().items()})),
        "parameters.pth": (load_generator, archive({n: torch.nn.Parameter(t, t.is_floating_point())
                                                    for n, t in state().items()})),
        "another part.pth": (load_generator, zipslip),
        "classifier.safetensors": (load_classifier, classifier()),
    }  # fmt: skip
    for name, (load, content) in good.items():
        with tally.trial(name):
            (inside / name).write_bytes(content)
            assert outcome(load, inside / name) == "loaded"
            assert not any(inside.parent.parent.rglob("ESCAPED"))
