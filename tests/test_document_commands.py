"""The commands of README and docs: every `bash` block runs in bash, where programs only note what they were asked.

What they noted is then parsed by the program's own parser, every -S names a key or a file of conf/, and (slow) what
`dvc exp run -S …` would compose is composed. The blocks of docs/troubleshooting.md are `console`: they show commands
that fail.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.patience import PATIENCE
from typer.core import TyperGroup
from typer.main import get_command

from leukosr.cli import app
from leukosr.config import Params
from leukosr.config.schema import Row, Schema

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# Every command notes in a file of its own: those of a pipe or in the background run at the same time.
PRELUDE = r"""command_not_found_handle() { printf '%s\x1f' "$@" > "$NOTED/$BASHPID"; }"""
ELSEWHERE = {  # what no test here can check, and why
    "docker": "there is no engine; tests/test_services.py checks the files",
    "curl": "asks a server that the block starts",
    "pip": "installs",
    "pre-commit": "installs a hook",
    "mlflow": "tests/pipeline and tests/test_services.py run it",
    "optuna-dashboard": "tests/test_services.py starts it",
    "torchrun": "tests/engine start several processes",
    "sbatch": "there is no SLURM",
    **dict.fromkeys(("openssl", "id", "base64"), "comes with the system"),
}
STUDIES_TO_WRITE = {"study=mine": "docs/studies.md has the reader write it, and tests/test_config.py composes it"}


def blocks() -> Iterator[tuple[str, str]]:
    """Every bash block, with the page and line that it begins at."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield f"{page.name}:{text[: found.start()].count(chr(10)) + 1}", found[1]


def noted(block: str, folder: Path) -> tuple[tuple[str, ...], ...]:
    """The commands that a block gives, with variables, loops and functions of the shell worked out."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").touch()
    python = folder / ".venv/bin/python"
    python.write_text("#!/bin/bash\n" + PRELUDE + '\ncommand_not_found_handle python "$@"\n')
    python.chmod(0o755)
    (folder / "results").symlink_to(ROOT / "results")
    notes = folder / "noted"
    notes.mkdir()
    done = subprocess.run(
        ["/bin/bash", "-uc", f"{PRELUDE}\n{block}"], cwd=folder, env={"NOTED": str(notes), "PATH": "/nowhere"},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return tuple(tuple(each.read_text().split("\x1f")[:-1]) for each in notes.iterdir())


def test_commands_that_run_at_the_same_time_are_noted_apart(tmp_path: Path) -> None:
    found = noted("for n in {1..200}; do left $n | right $n & done; wait", tmp_path)
    assert sorted(found) == sorted((side, str(n)) for side in ("left", "right") for n in range(1, 201))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[tuple[str, ...]]]:
    """By program: the arguments of all blocks, each once."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for _, block in blocks():
        for program, *arguments in noted(block, tmp_path_factory.mktemp("block")):
            found.setdefault(program, set()).add(tuple(arguments))
    return found


@pytest.mark.parametrize(("place", "block"), [pytest.param(*each, id=each[0]) for each in blocks()])
def test_every_block_runs_in_bash(place: str, block: str, tmp_path: Path) -> None:
    assert noted(block, tmp_path), f"{place} gives no command"


@pytest.fixture(scope="module")
def keys() -> list[Row]:
    """Those of params.yaml."""
    schema = Schema()
    return [row for section, node in schema.sections.items() for row in schema.rows(section, node)]


def test_every_program_is_checked_or_said_to_be_checked_elsewhere(commands: dict[str, Any]) -> None:
    assert set(commands) - set(ELSEWHERE) == {"leukosr", "dvc", "make", "python"}


def parsed(arguments: Sequence[str]) -> None:
    """Parse the arguments of `leukosr` without running it. Raises TyperException for those that it does not take."""
    command: Any = get_command(app)
    rest = list(arguments)
    while isinstance(command, TyperGroup):
        _, command, rest = command.resolve_command(typer.Context(command), rest)
    command.make_context("leukosr", rest)


def test_leukosr_takes_every_command(commands: dict[str, Any]) -> None:
    for arguments in sorted(commands["leukosr"]):
        parsed(arguments)


def examples(command: Any) -> Iterator[str]:
    """What `--help` gives as an example, of every command."""
    for below in command.commands.values() if isinstance(command, TyperGroup) else ():
        yield from examples(below)
    if command.epilog:
        yield command.epilog.removeprefix("Example: leukosr ")


@pytest.mark.parametrize("example", examples(get_command(app)))
def test_leukosr_takes_the_example_of_every_command(example: str) -> None:
    parsed(shlex.split(example))


@pytest.mark.parametrize(
    "wrong", [["compares"], ["compare", "A", "--marginal", "1"], ["data", "get"], ["enhance", "IN"]]
)
def test_a_command_that_leukosr_does_not_take_is_told(wrong: list[str]) -> None:
    with pytest.raises(typer.TyperException):
        parsed(wrong)


def spoken_of() -> Iterator[tuple[str, str]]:
    """`leukosr …` within sentences, where arguments are often left out."""
    for page in PAGES:
        for found in re.findall(r"`leukosr ([a-z][^`]*)`", page.read_text(encoding="utf-8")):
            yield page.name, found


@pytest.mark.parametrize(("page", "text"), sorted(set(spoken_of())))
def test_a_command_in_a_sentence_exists_with_its_options(page: str, text: str) -> None:
    command: Any = get_command(app)
    words = shlex.split(text.replace("\n", " "))
    while isinstance(command, TyperGroup):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def overrides(arguments: Sequence[str]) -> list[str]:
    """What follows each -S."""
    return [value for option, value in pairwise(arguments) if option == "-S"]


def test_dvc_takes_every_command(commands: dict[str, Any]) -> None:
    from dvc.cli.parser import get_main_parser

    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    for arguments in sorted(commands["dvc"]):
        asked = get_main_parser().parse_args([each for each in arguments if each != "…"])
        if arguments[:2] == ("exp", "run"):
            assert set(asked.targets) <= stages


def changes() -> set[tuple[str, str]]:
    """Every -S KEY=VALUE of blocks and sentences; no placeholders, no mistakes, nothing that a page has one write."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.stem not in ("extending", "troubleshooting")]
    found = {match for text in texts for match in re.findall(r"-S '?([\w.@/]+)=([^\s'`]*)", text)}
    return {(key, value.rstrip(":;,")) for key, value in found if "KEY" not in key and value not in ("NAME", "…")}


def exists(key: str, keys: Sequence[Row]) -> bool:
    """Whether params.yaml may hold a key, or a section of that name."""
    asked = key.split(".")
    for row in keys:
        known = row.key.split(".")
        if not all(want in ("NAME", "N", got) for want, got in zip(known, asked, strict=False)):
            continue
        if len(asked) <= len(known):
            return True
        if row.meaning.startswith("the keys of `"):
            return exists(".".join([row.meaning.split("`")[1], *asked[len(known) :]]), keys)
    return False


@pytest.mark.parametrize(("key", "value"), sorted(changes()))
def test_what_a_change_names_is_a_file_of_conf_or_a_key(key: str, value: str, keys: list[Row]) -> None:
    group, _, place = key.partition("@")
    if (ROOT / "conf" / group).is_dir() and f"{key}={value}" not in STUDIES_TO_WRITE:
        names = value.strip("[]").split(",")
        assert all((ROOT / "conf" / group / f"{name}.yaml").is_file() for name in names)
    assert exists(place or group, keys) or (ROOT / "conf" / group).is_dir()


@pytest.mark.parametrize(
    "wrong", ["study.protocols", "prepare.per_class.srtrain", "train_sr.a.stages.0.iteration", "swep"]
)
def test_a_key_that_there_is_not_is_told(wrong: str, keys: list[Row]) -> None:
    assert not exists(wrong, keys) and exists("train_sr.a.stages.0.iterations", keys)


@pytest.mark.slow
def test_every_study_of_the_documents_composes(commands: dict[str, Any], compose_params: Callable[..., Params]) -> None:
    asked = {tuple(found) for each in commands["dvc"] if (found := overrides(each))}
    assert len(asked) > 30
    for each in sorted(asked):
        if not set(each) & set(STUDIES_TO_WRITE):
            compose_params(*each)


def test_make_has_every_target(commands: dict[str, Any]) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.* ## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {word for each in commands["make"] for word in each if "=" not in word}
    assert asked and asked <= targets


def test_python_runs_tests_that_there_are(commands: dict[str, Any]) -> None:
    for dash, module, *paths in commands["python"]:
        assert (dash, module) == ("-m", "pytest") and all((ROOT / path).exists() for path in paths)
