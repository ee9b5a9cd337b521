"""The templates of pages, and the script that a page carries in itself."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Script:
    """A script as it stands on a page; `source` allows it, and no other, in the page's Content-Security-Policy."""

    text: str
    source: str


@cache
def page_script() -> Script:
    """report.js: sortable tables and the comparison of images."""
    return read_script(FOLDER / "report.js")


def read_script(path: Path) -> Script:
    """A file of JavaScript as a script of a page."""
    text = path.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Script(text, f"'sha256-{digest}'")


def template(name: str, folder: Path = FOLDER) -> Template:
    """A page template of `folder`, which may include those of this one; an unknown name in it is an error."""
    environment = Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["script"] = page_script()
    environment.filters["with_code"] = with_code
    return environment.get_template(name)


def with_code(text: str) -> Markup:
    """A sentence as HTML, with what it has between backticks set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
