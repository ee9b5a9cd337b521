"""The package as `pip install .` makes it: what is in it, what it asks for, and what a missing extra means."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.test_requirements import direct, pins

import leukosr
from leukosr.cli.entry import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = {
    extra: {canonicalize_name(Requirement(line).name) for line in lines}
    for extra, lines in PROJECT["optional-dependencies"].items()
}
CORE = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
# the command line where no extra is installed
WITHOUT_EXTRAS = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(EXTRAS)}))
from leukosr.cli import main
main()
"""
PREDICTIONS = ROOT / "results/demo-smoke/plots/confusion"
TRIALS = ROOT / "results/case1-variance/raw/factorial/trials.csv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the working tree stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = "import setuptools.build_meta; setuptools.build_meta.build_wheel('dist')"
    done = subprocess.run([sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    folders = (ROOT / "src/leukosr", ROOT / "src/hydra_plugins")  # where Hydra looks for resolvers
    files = [path for each in folders for path in each.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {path.relative_to(ROOT / "src").as_posix() for path in files}
    assert {Path(name).suffix for name in packed} >= {".py", ".typed", ".j2", ".yaml", ".css"}


def test_the_version_stands_in_one_place(metadata: Message) -> None:
    assert metadata["Version"] == leukosr.__version__
    assert f"version: {leukosr.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_package_asks_for_what_the_pins_hold(metadata: Message) -> None:
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist", []) if not line.startswith("leukosr[")]
    assert {canonicalize_name(each.name) for each in asked} == direct("requirements.in") - {"setuptools"}
    pinned = dict(pins("requirements.txt"))
    for each in asked:
        assert each.specifier and each.specifier.contains(pinned[canonicalize_name(each.name)]), each
        assert all(part.operator == ">=" for part in each.specifier), "an upper bound is for requirements.txt"


def test_the_extra_all_names_every_other() -> None:
    (line,) = PROJECT["optional-dependencies"]["all"]
    assert Requirement(line).extras == set(OPTIONAL) - {"all"}


def test_every_module_of_an_extra_is_known_by_the_extra_that_brings_it() -> None:
    brought_by = packages_distributions()
    for module, extra in EXTRAS.items():
        assert OPTIONAL[extra] & {canonicalize_name(name) for name in brought_by[module]}, module
    optional = set().union(*OPTIONAL.values()) - CORE - {"leukosr"}
    known = {canonicalize_name(name) for module in EXTRAS for name in brought_by[module]}
    assert optional - known == {"optuna-dashboard", "ipykernel", "ruamel-yaml-clib"}, "which no command needs"


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in a folder that is no clone, in an environment without extras."""
    command = [sys.executable, "-c", WITHOUT_EXTRAS, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_published_results_are_judged_without_any_extra(tmp_path: Path) -> None:
    arms = sorted(PREDICTIONS.glob("*.csv"))[:2]
    compared = run(tmp_path, "compare", *arms, "--json")
    assert compared.returncode == 0, compared.stderr
    assert '"verdict"' in compared.stdout
    taken_apart = run(tmp_path, "variance", TRIALS)
    assert taken_apart.returncode == 0, taken_apart.stderr
    assert "residual" in taken_apart.stdout


@pytest.mark.slow
def test_commands_on_anyones_images_need_no_extra(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (
        ("provenance", "empty", "--out", "found"),
        ("enhance", "empty", "enhanced", "--weights", "none.safetensors"),
        ("predict", "empty", "--model", "none.safetensors"),
    ):
        done = run(tmp_path, *command)
        assert done.returncode == 1
        assert done.stderr.startswith("error: "), done.stderr
        assert "not installed" not in done.stderr


def test_a_command_names_the_extra_that_it_lacks_in_one_sentence(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    done = run(tmp_path, "sync")
    assert done.returncode == 1
    words = "this command needs mlflow, which is not installed: run `pip install 'leukosr[tracking]'`"
    assert " ".join(done.stderr.split()) == f"error: {words}"


def test_a_command_that_needs_a_project_says_so(tmp_path: Path) -> None:
    for command in ("prepare", "which", "verify"):
        done = run(tmp_path, command)
        assert done.returncode == 1
        assert "run the command in" in " ".join(done.stderr.split()), done.stderr
