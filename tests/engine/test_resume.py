from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import leukosr
from leukosr.engine.resume import Resume, work_digest
from leukosr.errors import LeukoError


@pytest.fixture
def resume(tmp_path: Path) -> Resume:
    return Resume("abc", 0, tmp_path / "resume")


def test_a_state_comes_back_as_it_was_saved(resume: Resume) -> None:
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    generator = torch.Generator().manual_seed(3)
    state = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "random": generator.get_state(),
        "iteration": 7,
        "history": [{"psnr": None, "loss": 0.5}],
    }
    resume.save("srgan", state)
    found = resume.load("srgan")
    assert found is not None
    assert (found["iteration"], found["history"]) == (7, [{"psnr": None, "loss": 0.5}])
    assert torch.equal(found["network"]["weight"], network.weight)
    assert torch.equal(found["random"], generator.get_state())
    again = torch.optim.Adam(torch.nn.Linear(3, 2).parameters())
    again.load_state_dict(found["optimiser"])
    assert torch.equal(again.state_dict()["state"][0]["exp_avg"], optimiser.state_dict()["state"][0]["exp_avg"])


def test_the_last_state_of_a_name_counts(resume: Resume) -> None:
    resume.save("a", {"iteration": 1})
    resume.save("b", {"iteration": 5})
    resume.save("a", {"iteration": 2})
    assert resume.load("a") == {"iteration": 2}
    assert resume.load("b") == {"iteration": 5}


def test_there_is_nothing_before_the_first_save(resume: Resume) -> None:
    assert resume.load("srgan") is None


def test_a_cut_save_leaves_the_state_before_it(resume: Resume, monkeypatch: pytest.MonkeyPatch) -> None:
    resume.save("srgan", {"iteration": 1})

    def cut(_: object, target: io.BytesIO) -> None:
        target.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("leukosr.engine.resume.torch.save", cut)
    with pytest.raises(KeyboardInterrupt):
        resume.save("srgan", {"iteration": 2})
    assert resume.load("srgan") == {"iteration": 1}
    assert [path.name for path in resume.folder.iterdir()] == ["srgan.pt"]


def test_a_damaged_state_is_named(resume: Resume) -> None:
    resume.save("srgan", {"iteration": 1})
    (resume.folder / "srgan.pt").write_bytes(b"half")
    with pytest.raises(LeukoError, match=r"srgan\.pt, the state of an interrupted training, is damaged: remove it"):
        resume.load("srgan")


def test_dropping_forgets_one_state_and_clearing_all(resume: Resume) -> None:
    resume.save("a", {"iteration": 1})
    resume.save("b", {"iteration": 2})
    resume.drop("a")
    resume.drop("a")
    assert (resume.load("a"), resume.load("b")) == (None, {"iteration": 2})
    resume.clear()
    resume.clear()
    assert resume.load("b") is None
    assert not resume.folder.exists()


def test_work_of_another_digest_is_not_seen(tmp_path: Path) -> None:
    Resume("abc", 0, tmp_path).save("a", {"iteration": 1})
    assert Resume("abd", 0, tmp_path).load("a") is None
    assert Resume("abc", 0, tmp_path).load("a") == {"iteration": 1}


def test_saving_is_due_again_after_the_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("leukosr.engine.resume.time.monotonic", lambda: now[0])
    resume = Resume("abc", 60, tmp_path)
    assert not resume.due()
    now[0] += 60
    assert resume.due()
    resume.save("a", {})
    assert not resume.due()
    now[0] += 61
    assert resume.due()


def test_with_zero_seconds_saving_is_always_due(resume: Resume) -> None:
    assert resume.due()
    resume.save("a", {})
    assert resume.due()


def test_the_digest_depends_on_settings_and_inputs_and_not_on_the_order_of_keys(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("a")
    second.write_text("b")
    digest = work_digest({"x": 1, "y": [2]}, [first, second])
    assert work_digest({"y": [2], "x": 1}, [first, second]) == digest
    assert work_digest({"x": 2, "y": [2]}, [first, second]) != digest
    assert work_digest({"x": 1, "y": [2]}, [first]) != digest
    second.write_text("c")
    assert work_digest({"x": 1, "y": [2]}, [first, second]) != digest


def test_the_digest_depends_on_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "leukosr"
    shutil.copytree(Path(leukosr.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    digest = work_digest({}, [])
    monkeypatch.setattr(leukosr, "__file__", str(package / "__init__.py"))
    assert work_digest({}, []) == digest
    with (package / "superres" / "losses.py").open("a") as file:
        file.write("\n# another loss\n")
    assert work_digest({}, []) != digest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock that old states are judged by, to so many days from now."""
    now = time.time()

    def set_to(days: float) -> None:
        monkeypatch.setattr("leukosr.engine.resume.time.time", lambda: now + days * 86400)

    return set_to


def test_a_state_that_nobody_came_back_to_is_forgotten(tmp_path: Path, clock: Callable[[float], None]) -> None:
    Resume("old", 0, tmp_path).save("sr", {"iteration": 1})
    for day, kept in ((29, True), (31, True), (60, True), (62, False)):
        clock(day)
        Resume("another", 0, tmp_path)
        assert (tmp_path / "old").exists() == kept, day


@pytest.mark.parametrize("days", [31, 400, 40_000])
def test_a_clock_that_jumps_forward_and_back_forgets_nothing(
    tmp_path: Path, clock: Callable[[float], None], days: float
) -> None:
    Resume("cut", 0, tmp_path).save("sr", {"iteration": 1})
    clock(days)
    for _ in range(3):
        Resume("another", 0, tmp_path)
    clock(0)
    Resume("another", 0, tmp_path)
    clock(days)
    Resume("another", 0, tmp_path)
    assert Resume("cut", 0, tmp_path).load("sr") == {"iteration": 1}


def test_a_state_that_somebody_came_back_to_is_kept_for_another_month(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    Resume("cut", 0, tmp_path).save("sr", {"iteration": 1})
    clock(31)
    assert Resume("cut", 0, tmp_path).load("sr") == {"iteration": 1}
    clock(62)
    assert Resume("cut", 0, tmp_path).load("sr") == {"iteration": 1}


@pytest.mark.parametrize("place", [0, 100, -70, -66, -1])
def test_a_state_with_a_changed_byte_is_refused(resume: Resume, place: int) -> None:
    resume.save("srgan", {"iteration": 1, "weights": torch.arange(100.0)})
    path = resume.folder / "srgan.pt"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(LeukoError, match=r"srgan\.pt, the state of an interrupted training, is damaged: remove it"):
        resume.load("srgan")


def test_a_state_is_a_file_that_torch_reads(resume: Resume) -> None:
    resume.save("srgan", {"iteration": 1})
    assert torch.load(resume.folder / "srgan.pt", weights_only=True) == {"iteration": 1}
