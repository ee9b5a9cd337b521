"""Bits that flip on a disk: every one is found, by a refusal or by `leukosr verify`."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tests.faults.hostile_checkpoints import archive, network, state
from tests.faults.tally import Tally

from leukosr.classify.backbones import ClassifierNetwork
from leukosr.classify.weights import load_classifier, save_classifier
from leukosr.config import Architecture
from leukosr.data.provenance import store
from leukosr.engine.resume import Resume
from leukosr.errors import LeukoError
from leukosr.superres.weights import load_generator, save_generator
from leukosr.verify import verify

Sample = Callable[[int, int], int]


def flip(path: Path, chance: random.Random) -> int:
    """Flip one bit, and change nothing else that the file system tells; returns the place of its byte."""
    about, content = path.stat(), bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    return place


def check_refusals(
    tally: Tally, count: int, path: Path, load: Callable[[Path], object], harmless: Callable[[object], bool]
) -> None:
    """Flip bits of a good file, one at a time; `harmless` says whether what was loaded all the same is right."""
    good, chance = path.read_bytes(), random.Random(tally.kind)
    load(path)
    for number in range(count):
        path.write_bytes(good)
        place = flip(path, chance)
        with tally.trial(f"flip {number}, byte {place} of {len(good)}"):
            try:
                found = load(path)
            except LeukoError as error:
                assert path.name in str(error)
            else:
                assert harmless(found), "loaded"


def never(_: object) -> bool:
    return False


def test_in_weights_of_a_generator(tally: Tally, sample: Sample, tmp_path: Path) -> None:
    tally.kind = "flipped bits: weights of a generator"
    path = tmp_path / "last.safetensors"
    save_generator(path, network(), "srgan", 4, {"features": 8, "blocks": 2}, {"study": "demo"})
    check_refusals(tally, sample(200, 30), path, load_generator, never)


@pytest.mark.usefixtures("small_resnet")
def test_in_weights_of_a_classifier(tally: Tally, sample: Sample, tmp_path: Path) -> None:
    tally.kind = "flipped bits: weights of a classifier"
    path = tmp_path / "seed-1.safetensors"
    resnet50 = Architecture(backbone="resnet50")
    save_classifier(path, ClassifierNetwork(resnet50, 3), resnet50, ["a", "b", "c"], (120, 160))
    check_refusals(tally, sample(200, 30), path, load_classifier, never)


def test_in_checkpoints_of_others(tally: Tally, sample: Sample, tmp_path: Path) -> None:
    """A zip archive has checksums of its parts alone; what is beside them is names, times and padding."""
    tally.kind = "flipped bits: checkpoints of others"
    path, wanted = tmp_path / "published.pth", state()
    path.write_bytes(archive({"params": wanted}))

    def same(loaded: object) -> bool:
        found = loaded.model.state_dict()  # type: ignore[attr-defined]
        return all(torch.equal(found[name], tensor) for name, tensor in wanted.items())

    check_refusals(tally, sample(100, 15), path, load_generator, same)


def test_in_states_of_cut_trainings(tally: Tally, sample: Sample, tmp_path: Path) -> None:
    tally.kind = "flipped bits: states of interrupted trainings"
    resume = Resume("work", 0, tmp_path)
    resume.save("sr", {"generator": state(), "iteration": 3, "history": [{"psnr": None}]})
    check_refusals(tally, sample(200, 30), tmp_path / "work/sr.pt", lambda path: resume.load("sr"), never)


def test_in_finished_parts_of_a_cut_search(tally: Tally, sample: Sample, tmp_path: Path) -> None:
    tally.kind = "flipped bits: parts of an interrupted search for sources"
    path, rows = tmp_path / "round-0-00000000.npz", np.random.default_rng(0).random((50, 9))
    store.write_part(path, rows=rows)
    check_refusals(
        tally, sample(60, 10), path, lambda path: store.read_part(path, "rows"),
        lambda found: np.array_equal(np.asarray(found), rows),
    )  # fmt: skip
    folder = tmp_path / "features"
    folder.mkdir()
    for name in store.ARRAYS:
        np.save(folder / f"{name}.npy", np.arange(40))
    store.write_sums(folder)
    chance = random.Random(1)
    for number in range(sample(40, 10)):
        path = folder / f"{chance.choice(store.ARRAYS)}.npy"
        good = path.read_bytes()
        with tally.trial(f"flip {number} of {path.name}, byte {flip(path, chance)}"), pytest.raises(LeukoError):
            store.build_store([], tmp_path, 1, 1)
        path.write_bytes(good)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A set and two outputs as DVC keeps them, each file twice, in the workspace and in the cache."""
    chance = random.Random(0)

    def keep(content: bytes, ending: str = "") -> str:
        digest = md5(content)
        place = tmp_path / ".dvc/cache/files/md5" / digest[:2] / f"{digest[2:]}{ending}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return digest + ending

    def folder(path: str, count: int) -> dict[str, str]:
        listing = []
        for number in range(count):
            file = tmp_path / path / f"class {number % 3}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(chance.randbytes(chance.randrange(1, 5000)))
            name = file.relative_to(tmp_path / path).as_posix()
            listing.append({"md5": keep(file.read_bytes()), "relpath": name})
        content = json.dumps(sorted(listing, key=lambda entry: entry["relpath"])).encode()
        return {"path": path, "hash": "md5", "md5": keep(content, ".dir")}

    manifest = tmp_path / "outputs/demo/manifest.csv"
    lr = folder("outputs/demo/lr", 20)
    manifest.write_bytes(chance.randbytes(3000))
    outs = [lr, {"path": "outputs/demo/manifest.csv", "hash": "md5", "md5": keep(manifest.read_bytes())}]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"degrade": {"outs": outs}}}))
    (tmp_path / "datasets").mkdir()
    pointer = {"outs": [{**folder("datasets/mine", 20), "path": "mine"}]}
    (tmp_path / "datasets/mine.dvc").write_text(yaml.safe_dump(pointer))
    return tmp_path


def test_in_what_dvc_keeps(tally: Tally, sample: Sample, project: Path) -> None:
    tally.kind = "flipped bits: DVC's workspace and cache"
    cache, chance = project / ".dvc/cache", random.Random(2)
    files = sorted(path for path in project.rglob("*") if path.is_file() and path.suffix not in (".lock", ".dvc"))
    assert not verify(project, cache).bad
    for number in range(sample(200, 30)):
        path = chance.choice(files)
        good = path.read_bytes()
        with tally.trial(f"flip {number}, {path.relative_to(project)}, byte {flip(path, chance)}"):
            assert {copy.place for copy in verify(project, cache).bad} == {path}
        path.write_bytes(good)


def test_many_at_once_in_what_dvc_keeps(tally: Tally, sample: Sample, project: Path) -> None:
    tally.kind = "flipped bits: many at once in DVC's workspace and cache"
    chance = random.Random(3)
    files = sorted(path for path in project.rglob("*") if path.is_file())
    damaged = {path for path in files if path.suffix in (".png", ".csv") and chance.random() < 0.5}
    for path in damaged:
        flip(path, chance)
    found = {copy.place for copy in verify(project, project / ".dvc/cache").bad}
    for path in damaged:
        with tally.trial(str(path.relative_to(project))):
            assert path in found
    assert found == damaged
