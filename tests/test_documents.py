"""The documents: every link leads somewhere, and the page of the API names what there is."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "results/README.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page get: lower case, hyphens for blanks, no other signs."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}, a heading that is not there"


def test_every_document_is_in_the_menu_of_the_site() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f" {page.name}\n" not in menu] == []


def test_the_site_is_made_without_a_dead_link_and_shows_every_image(tmp_path: Path) -> None:
    make = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    made = subprocess.run(make, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    shown = [
        page.parent / source
        for page in tmp_path.rglob("*.html")
        for source in re.findall(r'<img\b[^>]*\ssrc="(?!https?:|data:)([^"]+)"', page.read_text(encoding="utf-8"))
    ]
    assert len(shown) > 20 and [image for image in shown if not image.is_file()] == []


def test_the_page_of_the_api_names_what_there_is() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    found = re.findall(r"^::: ([\w.]+)\n(?:    options: \{members: \[(.*)\]\})?", page, re.MULTILINE)
    assert len(found) > 20
    for module, members in found:
        path = ROOT / "src" / module.replace(".", "/")
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        text = source.read_text(encoding="utf-8")
        named = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        imported = {
            alias.name for node in ast.parse(text).body if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        assert {name for name in members.split(", ") if name} <= named | imported, module
