"""docs/troubleshooting.md quotes messages as they are printed: each is written somewhere in the code."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
LEAST_LITERAL, LEAST_SHARE = (
    12,
    0.1,
)  # characters of a message that the code writes itself, not inserts, and their share
# where the messages of DVC and Hydra are written; those of the operating system are added as they are
FOREIGN = (
    "dvc.stage.exceptions",
    "dvc.repo.reproduce",
    "dvc.rwlock",
    "hydra._internal.config_loader_impl",
    "hydra._internal.defaults_list",
)
PLACEHOLDER = r"%s|\{[^{}]*\}"


def quoted() -> list[str]:
    """The lines of the page's console blocks that are no commands."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if not line.startswith("$ ")]


@cache
def templates() -> tuple[tuple[re.Pattern[str], int], ...]:
    """What LeukoSR, its Makefile, DVC, Hydra or the operating system may print, with the length of its fixed text."""
    files = [*(ROOT / "src").rglob("*.py")]
    files += [Path(spec.origin or "") for name in FOREIGN if (spec := importlib.util.find_spec(name))]
    texts = re.findall(r'echo "([^"$]+)"', (ROOT / "Makefile").read_text(encoding="utf-8"))
    texts.append("failed to reproduce '{}': [Errno 2] " + os.strerror(2))
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(str(getattr(part, "value", "{}")) if isinstance(part, ast.Constant) else "{}"
                                     for part in node.values))  # fmt: skip
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    parts = [re.split(PLACEHOLDER, line.strip()) for text in texts for line in text.splitlines()]
    return tuple((re.compile(".*".join(map(re.escape, part))), sum(map(len, part))) for part in parts)


def is_written(message: str) -> bool:
    """Whether one text of the code makes at least half of the message, and enough of that itself."""
    message = message.removeprefix("ERROR: unexpected error - ")  # what DVC writes before messages of others
    return any(
        fixed >= max(LEAST_LITERAL, LEAST_SHARE * len(message))
        and (match := pattern.search(message))
        and len(match[0]) > len(message) / 2
        for pattern, fixed in templates()
    )


def test_there_are_fifteen_errors_or_more_each_with_what_was_typed() -> None:
    headings = re.findall(r"^### .*$", PAGE, re.MULTILINE)
    assert len(headings) >= 15
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        assert re.search(r"```console\n\$ .*\n\S", section), section.splitlines()[0]


@pytest.mark.parametrize("message", quoted(), ids=lambda message: message[:50])
def test_every_quoted_message_is_written_in_the_code(message: str) -> None:
    assert is_written(message), "no text of the code makes this message: quote it as it is printed today"


def test_a_message_that_nothing_prints_is_not_found() -> None:
    assert not is_written("error: params.yaml is absent: change into the folder of the project and run it again there")
