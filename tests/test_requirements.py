"""The requirements name what the project uses, no more and no less, and all files of pins agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
OWN = {"leukosr", "benchmarks", "tests", "release_check", "parameters_page"} | {
    file.stem for file in (ROOT / "tests").rglob("*.py")
}
# what is used without an import: the file that uses it, and how
RUNTIME_BY_NAME = {
    "dvc": ("Makefile", "dvc repro"),
    "optuna-dashboard": ("Makefile", "optuna-dashboard"),
    "psycopg": ("src/leukosr/tracking/trial_storage.py", "postgresql://"),
    "ipykernel": ("README.md", "the kernel in `.venv`"),
    "setuptools": ("pyproject.toml", "setuptools.build_meta"),
    "ruamel-yaml-clib": ("docs/design.md", "with ruamel.yaml.clib it does so in C"),
    "onnxscript": ("src/leukosr/classify/onnx_export.py", "torch.onnx.export"),
}
DEV_BY_NAME = {
    "pytest-timeout": ("pyproject.toml", "timeout = "),
    "ruff": ("Makefile", "ruff check"),
    "mypy": ("Makefile", "mypy"),
    "types-pyyaml": ("pyproject.toml", "[tool.mypy]"),
    "pandas-stubs": ("pyproject.toml", "[tool.mypy]"),
    "import-linter": ("Makefile", "lint-imports"),
    "pytest-cov": ("Makefile", "--cov "),
    "mkdocs-material": ("mkdocs.yml", "name: material"),
    "axe-playwright-python": ("tests/report/test_accessibility.py", '"axe_playwright_python"'),
    "mkdocstrings-python": ("mkdocs.yml", "- mkdocstrings:"),
    "moto": ("tests/services.py", "moto.server"),
}


def requirements(name: str) -> list[Requirement]:
    """The requirements of a file; comments, hashes and options are left out."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    named = (line.removesuffix("\\").strip() for line in lines if re.match(r"[A-Za-z0-9]", line))
    return [Requirement(line) for line in named]


def direct(name: str) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements(name)}


def pins(name: str) -> set[tuple[str, str]]:
    """Each package and its exact version; some have one a Python version."""
    found: set[tuple[str, str]] = set()
    for requirement in requirements(name):
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        found.add((canonicalize_name(requirement.name), specifier.version))
    return found


def imported(*folders: str) -> set[str]:
    """The distributions that the modules below some folders import, wherever in the module the import stands."""
    modules: set[str] = set()
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules.add(node.module.partition(".")[0])
    known = packages_distributions()
    asked = direct("requirements.in") | direct("requirements-dev.in")
    found: set[str] = set()
    for module in modules - set(sys.stdlib_module_names) - OWN:
        brought_by = [canonicalize_name(name) for name in known[module]]  # mlflow by mlflow-skinny, too
        found.add(next((name for name in brought_by if name in asked), brought_by[0]))
    return found


def used_by_name(table: dict[str, tuple[str, str]]) -> set[str]:
    return {name for name, (file, text) in table.items() if text in (ROOT / file).read_text(encoding="utf-8")}


def test_runtime_requirements_are_what_the_project_uses() -> None:
    assert direct("requirements.in") == imported("src") | used_by_name(RUNTIME_BY_NAME)


def test_dvc_parses_yaml_in_c() -> None:
    assert YAML(typ="safe").Parser.__module__.endswith("_ruamel_yaml")


def test_development_requirements_are_what_tests_benchmarks_and_linting_use_besides() -> None:
    used = imported("tests", "benchmarks") | used_by_name(DEV_BY_NAME)
    assert direct("requirements-dev.in") == used - direct("requirements.in")


def test_the_least_pydantic_writes_sections_as_params_yaml_has_them() -> None:
    """Field(exclude_if=…), which leaves out what is not set, came with 2.12; serialize_by_alias with 2.11."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (asked,) = (each for each in map(Requirement, project["dependencies"]) if each.name == "pydantic")
    assert asked.specifier.contains("2.12.0") and not asked.specifier.contains("2.11.10")


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_the_pins_satisfy_what_was_asked_for(name: str) -> None:
    for asked in requirements(f"{name}.in"):
        versions = [version for package, version in pins(f"{name}.txt") if package == canonicalize_name(asked.name)]
        assert versions and all(asked.specifier.contains(version) for version in versions), asked


def test_development_pins_agree_with_the_runtime_pins() -> None:
    runtime = pins("requirements.txt")
    packages = {package for package, _ in runtime}
    assert {pin for pin in pins("requirements-dev.txt") if pin[0] in packages} <= runtime


def test_the_file_with_hashes_holds_the_same_pins_and_a_hash_for_each() -> None:
    assert pins("requirements-hashed.txt") == pins("requirements.txt") | pins("requirements-dev.txt")
    text = (ROOT / "requirements-hashed.txt").read_text(encoding="utf-8")
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert "://" not in text, "the file names no index, so that each user's own is asked"


def asked_by(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What an installed package asks for on this machine, with some of its extras."""
    asked = map(Requirement, distribution(name).requires or [])
    where = [{"extra": extra} for extra in extras | {""}]
    return [each for each in asked if each.marker is None or any(map(each.marker.evaluate, where))]


def test_the_file_with_hashes_needs_no_search_for_dependencies() -> None:
    """Everything that a pinned package asks for, with extras, is pinned, too, in a version that it allows."""
    pinned = dict(sorted(pins("requirements-hashed.txt")))
    here = {canonicalize_name(each.name) for each in distributions()}
    todo = [(name, frozenset[str]()) for name in pinned if name in here]
    done = set()
    while todo:
        package = todo.pop()
        if package in done:
            continue
        done.add(package)
        for need in asked_by(*package):
            name = canonicalize_name(need.name)
            held = name in pinned and need.specifier.contains(pinned[name], prereleases=True)
            assert held, f"{package[0]} asks for {need}"
            todo.append((name, frozenset(need.extras)))
    assert ("coverage", frozenset({"toml"})) in done


def test_the_file_with_hashes_is_installed_without_one() -> None:
    command = ["make", "--dry-run", "--always-make", "setup", "HASHED=1"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--no-deps --requirement requirements-hashed.txt" in printed


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda file: file.name)
def test_actions_are_pinned_by_commit_with_their_version_beside_it(workflow: Path) -> None:
    uses = re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8"))
    assert uses and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in uses), uses
