"""`python parameters_page.py`: docs/parameters.md, every key of params.yaml, from the typed configuration and conf/.

Meanings and limits stand at the fields of the sections (`leukosr.config.schema` reads them); values are what conf/
composes for the demo under every budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from leukosr.config.schema import Row, Schema, as_text

ROOT = Path(__file__).resolve().parent
PAGE = ROOT / "docs/parameters.md"
ORDER = ("study", "claims", "synthesize", "prepare", "find_sources", "provenance", "image", "degrade", "train_sr")
# groups of conf/ whose files are the kinds of a section: its values are looked up there
RECIPES = {"degrade": "degrade", "train_sr.NAME": "method", "extract.NAME.extractor": "extractor"}
INTRO = """# Parameters

<!-- Written by `make parameters`: edit the descriptions in src/leukosr, or conf/. -->

Every key of `params.yaml`, as `dvc exp run -S KEY=VALUE` takes it. `NAME` is a name that you choose, `N` a place in a
list, from 0. The value is what the demo has (its budget is `smoke`), and what it would have under other budgets
(`-S budget=…`). In italics: what a key has that no file names. Empty: entries of `NAME` differ, or the demo lacks the
key and the files below the table differ in it. A wrong value stops at once, with key, value and what is allowed.

*internal*: conf/ derives the value from others (which file DVC watches, say); do not set it by hand.
"""


def composed() -> dict[str, Any]:
    """What conf/ gives for the demo by budget, and below `recipes` every file of the groups in RECIPES."""
    files = [(place, group, file.stem) for place, group in RECIPES.items() for file in _files(group)]
    chosen = [f"+{group}@recipes.{_recipe(place, name)}={name}" for place, group, name in files]
    budgets = sorted((file.stem for file in _files("budget")), key=lambda name: (name != "smoke", name))
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        whole = compose("config", chosen)
        return {name: _resolved(whole, compose("config", [f"budget={name}"]).budget) for name in budgets}


def _resolved(whole: DictConfig, budget: DictConfig) -> Any:
    config = deepcopy(whole)
    config.budget = budget
    for training in config.recipes.train_sr.values():  # once, not for each value that is taken from there
        training.sizes = OmegaConf.to_container(training.sizes, resolve=True)
    return OmegaConf.to_container(config, resolve=True)


def _files(group: str) -> list[Path]:
    return sorted((ROOT / "conf" / group).glob("*.yaml"))


def _recipe(place: str, name: str) -> str:
    return place.replace("NAME", name) if "NAME" in place else f"{place}.{name}"


class Values:
    """What the keys have, by budget."""

    def __init__(self) -> None:
        """Compose conf/ under every budget."""
        self.trees = composed()

    def of(self, row: Row) -> str:
        """A key's value, with budgets where they differ, or its default; empty where the entries of NAME differ."""
        default = f"*{row.default}*" if row.default else ""
        if not row.allowed or (default and "NAME" in row.key):
            return default
        recipe = row.key
        for place in RECIPES:
            if row.key.startswith(f"{place}."):
                recipe = f"recipes.{place if 'NAME' in place else f'{place}.NAME'}{row.key.removeprefix(place)}"
        found = self._found(recipe if "NAME" in row.key else row.key) or self._found(recipe)
        if not found:
            return default
        single = all(len(texts) < 2 for texts in found.values())
        return _shown({budget: "".join(texts) for budget, texts in found.items()}) if single else ""

    def _found(self, key: str) -> dict[str, set[str]]:
        """By budget, all values that stand at a key; empty where none does."""
        found = {name: {as_text(each) for each in _reached(tree, key.split("."))} for name, tree in self.trees.items()}
        return found if any(found.values()) else {}

    def recipes(self, place: str, known: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
        """The files of a group, each with the keys whose values are not those that `known` gives."""
        for file in _files(RECIPES[place]):
            path = ["recipes", *_recipe(place, file.stem).split(".")]
            leaves = {budget: dict(_leaves(next(_reached(tree, path)))) for budget, tree in self.trees.items()}
            keys = [key for key in leaves["smoke"] if not key.startswith("sizes.")]
            values = {
                key: _shown({budget: as_text(own.get(key, "")) for budget, own in leaves.items()}) for key in keys
            }
            above = {key: known.get(f"{place}.{re.sub(r'[.][0-9]+[.]', '.N.', key)}", "") for key in keys}
            yield file.stem, {key: values[key] for key in keys if values[key].strip("`") != above[key].strip("`*")}


def page() -> str:
    """The page."""
    schema, values = Schema(), Values()
    order = [*ORDER, *(name for name in schema.sections if name not in (*ORDER, "budget")), "budget"]
    return "\n".join([INTRO, *(line for section in order for line in _section(section, schema, values))])


def _section(section: str, schema: Schema, values: Values) -> Iterator[str]:
    rows = schema.rows(section, schema.sections[section])
    known = {row.key: values.of(row) for row in rows}
    yield from (f"## {section}", "")
    kinds = [kind for tag, of in schema.kinds.items() if tag.split(".")[0] == section for kind in of.items()]
    yield from (f"- `{label}`: {_first_paragraph(text)}" for label, text in kinds)
    yield from [""] if kinds else []
    for only in dict.fromkeys(row.only for row in rows):
        yield from (f"Only {_labels(only)}:", "") if only else ()
        own = [row for row in rows if row.only == only]
        lines = [(f"`{row.key}`", _linked(row.meaning), row.allowed, known[row.key]) for row in own]
        yield from _table(("key", "meaning", "allowed", "value"), lines)
    for place, group in RECIPES.items():
        if place.split(".")[0] == section:
            for name, found in values.recipes(place, known):
                yield from (f"`conf/{group}/{name}.yaml` sets{':' if found else ' the values above.'}", "")
                changed = [(f"`{key}`", value) for key, value in found.items()]
                yield from _table(("key", "value"), changed) if changed else ()


def _table(heads: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for cells in (heads, tuple("---" for _ in heads), *lines):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _labels(only: tuple[str, ...]) -> str:
    """`method: a`, `method: b` as `method: a, b`."""
    names: dict[str, list[str]] = {}
    for tag, _, name in (each.partition(": ") for each in only):
        names.setdefault(tag, []).append(name)
    return ", ".join(f"`{tag}: {', '.join(each)}`" for tag, each in names.items())


def _shown(texts: Mapping[str, str]) -> str:
    """A value, or those of the budgets; what most of them have stands last, without their names."""
    budgets: dict[str, list[str]] = {}
    for budget, text in texts.items():
        budgets.setdefault(f"`{text}`" if text else "none", []).append(budget)
    most = max(budgets, key=lambda value: len(budgets[value]))
    named = [f"{value} ({', '.join(of)})" for value, of in budgets.items() if value != most]
    return ", ".join([*named, f"else {most}"]) if named else most


def _reached(tree: Any, path: list[str]) -> Iterator[Any]:
    """What lies at a path; NAME and N are every entry."""
    if not path:
        yield tree
        return
    head, *rest = path
    children = tree if isinstance(tree, dict) else dict(enumerate(tree)) if isinstance(tree, list) else {}
    for name, child in children.items():
        if head in ("NAME", "N") or name == head:
            yield from _reached(child, rest)


def _leaves(tree: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Plain values and lists of them by their dotted key."""
    nested = isinstance(tree, dict) or (isinstance(tree, list) and any(isinstance(each, dict) for each in tree))
    if not nested:
        yield above, tree
        return
    for name, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield from _leaves(child, f"{above}.{name}" if above else str(name))


def _linked(text: str) -> str:
    return re.sub(r"docs/([\w.]+(#[\w-]+)?)", r"[\1](\1)", re.sub(r"^internal\b", "*internal*", text))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"parameters: {PAGE.relative_to(ROOT)}")
