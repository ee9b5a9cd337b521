"""Processes that are killed while they save: what was there before or what comes after is whole."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import torch
from tests.faults.killing import killed_after, killed_at
from tests.faults.tally import Tally

from leukosr.engine.resume import Resume
from leukosr.engine.weights import read_tensors, write_tensors
from leukosr.files import _clear_files, new_file, new_folder

PARTS = 5


@dataclass(frozen=True)
class Saving:
    """A way to save: `save` writes a generation (a number) below a folder, `load` says which one is there, if whole."""

    name: str
    save: Callable[[Path, int], None]
    load: Callable[[Path], int | None]


def save_file(folder: Path, generation: int) -> None:
    with new_file(folder / "table.csv") as temporary, temporary.open("w") as file:
        for _ in range(PARTS):
            file.write(f"{generation}\n" * 2000)
            file.flush()


def load_file(folder: Path) -> int | None:
    path = folder / "table.csv"
    return one_of(path.read_text().split(), PARTS * 2000) if path.exists() else None


def save_folder(folder: Path, generation: int) -> None:
    with new_folder(folder / "lr") as temporary:
        for number in range(PARTS):
            (temporary / f"{number}.txt").write_text(f"{generation}\n" * 200)


def load_folder(folder: Path) -> int | None:
    path = folder / "lr"
    if not path.exists():  # killed between two renames: the whole of it waits under another name for the next writer
        path = next(folder.glob(".lr.*.old"), path)
    if not path.exists():
        return None
    return one_of([word for file in path.iterdir() for word in file.read_text().split()], PARTS * 200)


def save_weights(folder: Path, generation: int) -> None:
    write_tensors(folder / "w.safetensors", {str(n): torch.full((500,), generation) for n in range(PARTS)}, {})


def load_weights(folder: Path) -> int | None:
    path = folder / "w.safetensors"
    if not path.exists():
        return None
    tensors, _ = read_tensors(path)
    return one_of([value for tensor in tensors.values() for value in tensor.tolist()], PARTS * 500)


def save_state(folder: Path, generation: int) -> None:
    Resume("work", 0, folder).save("sr", {str(n): torch.full((500,), generation) for n in range(PARTS)})


def load_state(folder: Path) -> int | None:
    state = Resume("work", 0, folder).load("sr")
    if state is None:
        return None
    return one_of([value for tensor in state.values() for value in tensor.tolist()], PARTS * 500)


def one_of(values: list[str] | list[int], count: int) -> int:
    """The generation that all values are of, none missing."""
    assert len(values) == count, f"{len(values)} of {count} values"
    assert len(set(values)) == 1, f"a mixture of {sorted(set(map(str, values)))}"
    return int(values[0])


SAVINGS = (
    Saving("a file", save_file, load_file),
    Saving("a folder", save_folder, load_folder),
    Saving("weights", save_weights, load_weights),
    Saving("a state", save_state, load_state),
)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def check(saving: Saving, folder: Path, before: int | None) -> None:
    """What a killed save left: the old or the new generation, whole; and the next save clears the rest away."""
    found = saving.load(folder)
    assert found in (before, 2), f"found {found}"
    _clear_files.cache_clear()  # as a new process would
    saving.save(folder, 3)
    assert saving.load(folder) == 3
    alone = folder.with_name(f"{folder.name}-alone")
    saving.save(alone, 3)
    assert files_below(folder) == files_below(alone), "leftovers stay"


@pytest.mark.parametrize("saving", SAVINGS, ids=lambda saving: saving.name)
def test_a_save_that_is_killed_at_any_step_leaves_old_or_new(
    saving: Saving, tally: Tally, sample: Callable[[int, int], int], tmp_path: Path
) -> None:
    tally.kind = f"killed while saving {saving.name}, at every step"
    for before in (None, 1):
        for step in count(1, sample(1, 2)):
            folder = tmp_path / f"{before}-{step}"
            folder.mkdir()
            if before is not None:
                saving.save(folder, before)
            if not killed_at(step, partial(saving.save, folder, 2)):
                break  # a save has no more steps than that
            with tally.trial(f"step {step} after generation {before}"):
                check(saving, folder, before)
    assert tally.tried >= 4


@pytest.mark.parametrize("saving", SAVINGS, ids=lambda saving: saving.name)
def test_a_save_that_is_killed_at_any_time_leaves_old_or_new(
    saving: Saving, tally: Tally, sample: Callable[[int, int], int], tmp_path: Path
) -> None:
    tally.kind = f"killed while saving {saving.name}, at any time"
    chance = random.Random(saving.name)
    for number in range(sample(40, 6)):
        folder = tmp_path / str(number)
        folder.mkdir()

        def save_for_ever(folder: Path = folder) -> None:
            while True:
                saving.save(folder, 1)
                saving.save(folder, 2)

        with tally.trial(f"kill {number}"):
            saving.save(folder, 1)
            assert killed_after(chance.uniform(0, 0.03), save_for_ever)
            check(saving, folder, 1)
