"""A hook of MkDocs: README.md is the site's first page, and what the documents link to outside docs/ comes with them.

A linked file is copied into the site below repository/; of a linked folder the text remains, without the link. MkDocs
sees to the paths of images in Markdown, this hook to those in HTML; an image that is not there is an error.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent
OUTSIDE = re.compile(r"(?P<text>\[[^\]]*\])\(\.\./(?P<target>[^)\s#]+)[^)\s]*\)")
IMAGE = re.compile(r'(?P<before><img\b[^>]*\ssrc=")(?!https?:|data:)(?P<file>[^"]+)')


def readme() -> str:
    """README.md with its links as seen from docs/."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace('src="docs/', 'src="')
    return re.sub(r"\]\((?!https?:|#)(?:docs/)?(?P<target>[^)]+)\)", _seen_from_docs, text)


def _seen_from_docs(link: re.Match[str]) -> str:
    target = link["target"]
    return f"]({target})" if link[0].startswith("](docs/") else f"](../{target})"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the first page and every file outside docs/ that a page links to."""
    files.append(File.generated(config, "index.md", content=readme()))
    linked = {
        found["target"] for page in files.documentation_pages() for found in OUTSIDE.finditer(page.content_string)
    }
    for target in sorted(linked):
        if (ROOT / target).is_file():
            files.append(File.generated(config, _place(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Lead links out of docs/ to the copies, and images in HTML to their files."""

    def found(image: re.Match[str]) -> str:
        if (file := files.get_file_from_path(image["file"])) is None:
            raise PluginError(f"{page.file.src_uri} shows {image['file']}, which is not in docs/")
        return f"{image['before']}{file.url_relative_to(page.file)}"

    return IMAGE.sub(found, OUTSIDE.sub(_moved, markdown))


def _moved(link: re.Match[str]) -> str:
    target = link["target"]
    return f"{link['text']}({_place(target)})" if (ROOT / target).is_file() else link["text"][1:-1]


def _place(target: str) -> str:
    """Markdown would become a page that is in no menu, so it is shown as text."""
    return f"repository/{target}".replace(".md", ".md.txt")
