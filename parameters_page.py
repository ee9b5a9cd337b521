"""`python parameters_page.py`: docs/parameters.md, every key of params.yaml, from the typed configuration and conf/.

Meanings and limits stand at the fields of the sections (`Params` and what it embeds), and nowhere else; values are what
conf/ composes for the demo under every budget.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from leukosr.config import Params
from leukosr.config.load import PATTERN_WORDS

ROOT = Path(__file__).resolve().parent
PAGE = ROOT / "docs/parameters.md"
ORDER = ("study", "claims", "synthesize", "prepare", "provenance", "find_sources", "image", "degrade", "train_sr")
# groups of conf/ whose files are the kinds of a section: where that section's values are looked up instead
RECIPES = {"degrade": "degrade", "train_sr.NAME": "method", "extract.NAME.extractor": "extractor"}
INTRO = """# Parameters

<!-- Written by `make parameters`: edit the descriptions in src/leukosr, or conf/. -->

Every key of `params.yaml`, as `dvc exp run -S KEY=VALUE` takes it. `NAME` is a name that you choose, `N` a place in a
list, from 0. *Value* is what the demo has; where budgets (`-S budget=…`) differ, they stand in brackets. In italics: what
a key has that no file names. A wrong value stops at once, with the key, the value and what is allowed.
"""


@dataclass(frozen=True)
class Row:
    """A key of params.yaml. only: the kinds of the section that have it; empty: all."""

    key: str
    meaning: str
    allowed: str
    default: str = ""
    only: tuple[str, ...] = ()


class Schema:
    """The JSON schema of params.yaml as rows; a section that stands in two places is described in the first."""

    def __init__(self) -> None:
        """Read it off `Params`."""
        schema = Params.model_json_schema()
        self.definitions: dict[str, Any] = schema["$defs"]
        self.sections: dict[str, Any] = schema["properties"]
        self.places: dict[str, str] = {}
        self.kinds: dict[str, list[str]] = {}  # by the key that tells them apart: name and sentence of each

    def followed(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """A node in the place of its reference; without null, if a section or null may stand there."""
        if "$ref" in node:
            return self.followed({**self.definitions[_name(node)], **{k: v for k, v in node.items() if k != "$ref"}})
        others = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
        return self.followed(others[0]) if len(others) == 1 and self.is_section(others[0]) else dict(node)

    def is_section(self, node: Mapping[str, Any]) -> bool:
        """Whether a node has keys of its own."""
        node = self.followed(node)
        return "properties" in node or "discriminator" in node

    def rows(self, key: str, node: Mapping[str, Any]) -> list[Row]:
        """The keys at and below a node."""
        name, whole = _name(node), self.followed(node)
        if name and "properties" in whole and self.places.setdefault(name, key) != key:
            return [Row(key, f"the keys of `{self.places[name]}`", "")]
        if "discriminator" in whole:
            return self._merged(key, whole)
        if "properties" in whole and "anyOf" in node and "description" in node:
            return [Row(key, node["description"], "`null`, or the keys below"), *self.rows(key, whole)]
        if "properties" in whole:
            return [row for name, each in whole["properties"].items() for row in self.rows(f"{key}.{name}", each)]
        inner = whole.get("additionalProperties", whole.get("items"))
        itself = Row(key, whole.get("description", ""), self.allowed(whole), _text(whole.get("default", "")))
        if not isinstance(inner, dict) or not self.is_section(inner):
            return [itself]
        below = self.rows(f"{key}.{'N' if 'items' in whole else 'NAME'}", inner)
        return [itself, *below] if itself.meaning else below

    def _merged(self, key: str, union: Mapping[str, Any]) -> list[Row]:
        """The key that tells the kinds of a section apart, then the keys of all, each with the kinds that have it."""
        tag, found, order = union["discriminator"]["propertyName"], {}, []
        for option in union["oneOf"]:
            kind = self.followed(option)
            told = self._first(kind)["properties"][tag]
            label = f"{tag}: {', '.join(told.get('enum', [told.get('const')]))}"
            order.append(label)
            if "properties" in kind:
                self.kinds.setdefault(f"{key}.{tag}", []).append(f"`{label}`: {_sentence(kind['description'])}")
            for row in self.rows(key, option):
                if row.key != f"{key}.{tag}":
                    found.setdefault(replace(row, only=()), []).extend(row.only or [label])
        words = ", ".join(f"`{each}`" for label in order for each in label.partition(": ")[2].split(", "))
        first = Row(f"{key}.{tag}", "tells the kinds apart", words)
        return [first, *(replace(row, only=() if len(of) == len(order) else tuple(of)) for row, of in found.items())]

    def _first(self, kind: dict[str, Any]) -> dict[str, Any]:
        """The kind itself or, of one that has kinds in its turn, the first of these."""
        return kind if "properties" in kind else self.followed(kind["oneOf"][0])

    def allowed(self, node: Mapping[str, Any]) -> str:
        """What may stand at a key, in words."""
        node = self.followed(node)
        if options := node.get("anyOf", node.get("oneOf")):
            return ", ".join(dict.fromkeys(self.allowed(each) for each in options))
        if "const" in node or "enum" in node:
            return ", ".join(f"`{_text(each)}`" for each in node.get("enum", [node.get("const")]))
        if "properties" in node:
            return "`{" + ", ".join(f"{name}: {self.allowed(each)}" for name, each in node["properties"].items()) + "}`"
        if node.get("type") == "array":
            each = (
                self.allowed(node.get("items") or node["prefixItems"][0]) if not self._holds_sections(node) else "kind"
            )
            return f"{node['maxItems']} times: {each}" if "prefixItems" in node else f"list: {each}"
        if node.get("type") == "object":
            values = node.get("additionalProperties")
            return f"by name: {self.allowed(values)}" if isinstance(values, dict) else "by name: anything"
        if "pattern" in node:
            return PATTERN_WORDS.get(node["pattern"], f"text like `{node['pattern']}`")
        words = {"null": "`null`", "boolean": "`true`, `false`", "string": "text"}
        return words.get(str(node.get("type")), f"{node.get('type')}{_limits(node)}")

    def _holds_sections(self, node: Mapping[str, Any]) -> bool:
        return "items" in node and self.is_section(node["items"])


def composed(budget: str) -> Any:
    """What conf/ gives for the demo under a budget, and below `recipes` every file of the groups in RECIPES."""
    files = [(place, group, file.stem) for place, group in RECIPES.items() for file in _files(group)]
    chosen = [f"+{group}@recipes.{_recipe(place, name)}={name}" for place, group, name in files]
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return OmegaConf.to_container(compose("config", [f"budget={budget}", *chosen]), resolve=True)


def _files(group: str) -> list[Path]:
    return sorted((ROOT / "conf" / group).glob("*.yaml"))


def _recipe(place: str, name: str) -> str:
    return place.replace("NAME", name) if "NAME" in place else f"{place}.{name}"


class Values:
    """What the keys have, by budget."""

    def __init__(self) -> None:
        """Compose conf/ under every budget, that of the demo first."""
        self.budgets = sorted((file.stem for file in _files("budget")), key=lambda name: (name != "smoke", name))
        self.trees = {budget: composed(budget) for budget in self.budgets}

    def of(self, key: str) -> str:
        """A key's value, with budgets where they differ; empty where no file names it or the entries of NAME differ."""
        for place in RECIPES:
            if key.startswith(f"{place}."):
                key = f"recipes.{place if 'NAME' in place else place + '.NAME'}{key.removeprefix(place)}"
        found = {
            budget: {_text(each) for each in _reached(tree, key.split("."))} for budget, tree in self.trees.items()
        }
        return self._shown({b: texts.pop() if len(texts) == 1 else "" for b, texts in found.items()})

    def recipes(self, place: str, known: Mapping[str, str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """The files of a group, each with the keys that `known` gives no value for."""
        for file in _files(RECIPES[place]):
            path = ["recipes", *_recipe(place, file.stem).split(".")]
            leaves = {budget: dict(_leaves(next(_reached(tree, path)))) for budget, tree in self.trees.items()}
            keys = [key for key in leaves["smoke"] if not key.startswith("sizes.")]
            shown = [(key, self._shown({b: _text(leaves[b].get(key, "")) for b in leaves})) for key in keys]
            yield file.stem, [(k, v) for k, v in shown if not known.get(f"{place}.{re.sub(r'[.][0-9]+[.]', '.N.', k)}")]

    def _shown(self, texts: Mapping[str, str]) -> str:
        budgets: dict[str, list[str]] = {}
        for budget, text in texts.items():
            budgets.setdefault(text, []).append(budget)
        if len(budgets) == 1:
            return _code(next(iter(budgets)))
        return ", ".join(f"{_code(text) or 'none'} ({', '.join(of)})" for text, of in budgets.items())


def page() -> str:
    """The page."""
    schema, values = Schema(), Values()
    order = [*ORDER, *(name for name in schema.sections if name not in ORDER and name != "budget"), "budget"]
    blocks = [INTRO]
    for section in order:
        rows = schema.rows(section, schema.sections[section])
        known = {row.key: values.of(row.key) for row in rows}
        blocks.append(f"## {section}\n")
        blocks += [f"- {each}" for key, kinds in schema.kinds.items() if key.split(".")[0] == section for each in kinds]
        blocks += ["", "| key | meaning | allowed | value |", "|---|---|---|---|"]
        for row in rows:
            only = f" (only {', '.join(f'`{each}`' for each in row.only)})" if row.only else ""
            value = (known[row.key] if row.allowed else "") or (f"*{row.default}*" if row.default else "")
            blocks.append(_line(f"`{row.key}`", _linked(row.meaning) + only, row.allowed, value))
        for place, group in RECIPES.items():
            if place.split(".")[0] == section:
                blocks += [
                    line for name, keys in values.recipes(place, known) for line in _recipe_block(group, name, keys)
                ]
        blocks.append("")
    return "\n".join(blocks).rstrip() + "\n"


def _recipe_block(group: str, name: str, keys: list[tuple[str, str]]) -> list[str]:
    lines = [_line(f"`{key}`", value) for key, value in keys]
    return ["", f"`conf/{group}/{name}.yaml` sets:", "", "| key | value |", "|---|---|", *lines]


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


def _name(node: Mapping[str, Any]) -> str:
    """The name of the section that a node refers to; empty for a node that says all itself."""
    return str(node.get("$ref", "")).rpartition("/")[2]


def _limits(node: Mapping[str, Any]) -> str:
    words = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "multipleOf": "a multiple of",
    }
    return "".join(f" {word} {_text(node[key])}" for key, word in words.items() if key in node)


def _sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _text(value: Any) -> str:
    """A value as YAML has it, on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _linked(text: str) -> str:
    return re.sub(r"docs/([\w.]+(#\w+)?)", r"[\1](\1)", text)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(PAGE.write_text(page(), encoding="utf-8") and None)
