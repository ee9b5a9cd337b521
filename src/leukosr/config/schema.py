"""Every key of params.yaml with its meaning and what is allowed, read off the types that validate it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from leukosr.config.load import PATTERN_WORDS
from leukosr.config.params import Params

Node = Mapping[str, Any]  # of a JSON schema
LIMITS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "multipleOf": "a multiple of",
}
WORDS = {"null": "`null`", "boolean": "`true`, `false`", "string": "text"}


@dataclass(frozen=True)
class Row:
    """A key, `NAME` and `N` for any name or place in a list. default: as text, empty where the key must stand.

    only: the kinds of the section that have the key, as `by: kernel`; empty: all.
    """

    key: str
    meaning: str
    allowed: str
    default: str = ""
    only: tuple[str, ...] = ()


class Schema:
    """The sections of params.yaml. A section that stands in two places is described in the first that is asked for.

    kinds: by the key that tells them apart, the name of each kind and what it is.
    """

    def __init__(self) -> None:
        """Read it off `Params`."""
        schema = Params.model_json_schema()
        self.sections: dict[str, Node] = schema["properties"]
        self.kinds: dict[str, dict[str, str]] = {}
        self._definitions: dict[str, Node] = schema["$defs"]
        self._places: dict[str, str] = {}

    def rows(self, key: str, node: Node) -> list[Row]:
        """The keys at and below a node."""
        whole = self._followed(node)
        if "discriminator" in whole:
            return self._of_kinds(key, whole)
        if "properties" in whole:
            return self._of_section(key, node, whole)
        patterns = list(whole.get("patternProperties", {}).values())
        inner = whole.get("items") or whole.get("additionalProperties") or (patterns[0] if patterns else None)
        itself = Row(key, whole.get("description", ""), self._allowed(whole), as_text(whole.get("default", "")))
        if not isinstance(inner, dict) or not self._is_section(inner):
            return [itself]
        below = self.rows(f"{key}.{'N' if 'items' in whole else 'NAME'}", inner)
        return [itself, *below] if itself.meaning else below

    def _of_section(self, key: str, node: Node, whole: Node) -> list[Row]:
        name = _name(node)
        if name and self._places.setdefault(name, key) != key:
            return [Row(key, f"the keys of `{self._places[name]}`", "")]
        rows = [row for name, each in whole["properties"].items() for row in self.rows(f"{key}.{name}", each)]
        optional = "anyOf" in node and "description" in node
        return [Row(key, node["description"], "`null`, or the keys below"), *rows] if optional else rows

    def _of_kinds(self, key: str, union: Node) -> list[Row]:
        """The key that tells the kinds of a section apart, then the keys of all, each with the kinds that have it."""
        tag = f"{key}.{union['discriminator']['propertyName']}"
        found: dict[Row, list[str]] = {}
        labels = []
        for option in union["oneOf"]:
            kind = self._followed(option)
            labels.append(label := self._label(kind, union))
            if "properties" in kind:
                self.kinds.setdefault(tag, {})[label] = kind.get("description", "")
            for row in self.rows(key, option):
                if row.key != tag:
                    found.setdefault(replace(row, only=()), []).extend(row.only or [label])
        words = ", ".join(f"`{name}`" for label in labels for name in label.partition(": ")[2].split(", "))
        rows = [replace(row, only=() if len(of) == len(labels) else tuple(of)) for row, of in found.items()]
        return [Row(tag, "the kind, see above", words), *rows]

    def _label(self, kind: Node, union: Node) -> str:
        """`by: kernel`; of a kind that has kinds in its turn, by what the first of these says."""
        tag = union["discriminator"]["propertyName"]
        told = (kind if "properties" in kind else self._followed(kind["oneOf"][0]))["properties"][tag]
        return f"{tag}: {', '.join(told.get('enum', [told.get('const')]))}"

    def _followed(self, node: Node) -> Node:
        """What a reference leads to; of a section that may be null, the section."""
        if "$ref" in node:
            return self._followed({**self._definitions[_name(node)], **{k: v for k, v in node.items() if k != "$ref"}})
        others = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
        return self._followed(others[0]) if len(others) == 1 and self._is_section(others[0]) else node

    def _is_section(self, node: Node) -> bool:
        node = self._followed(node)
        return "properties" in node or "discriminator" in node

    def _allowed(self, node: Node) -> str:
        """What may stand at a key, in words."""
        node = self._followed(node)
        if options := node.get("anyOf", node.get("oneOf")):
            return ", ".join(dict.fromkeys(self._allowed(each) for each in options))
        if "const" in node or "enum" in node:
            return ", ".join(f"`{as_text(each)}`" for each in node.get("enum", [node.get("const")]))
        if node.get("type") in ("array", "object"):
            return self._allowed_inside(node)
        if "pattern" in node:
            return PATTERN_WORDS[node["pattern"]]
        kind = str(node.get("type", "anything"))
        limits = " and".join(f" {word} {as_text(node[limit])}" for limit, word in LIMITS.items() if limit in node)
        return WORDS.get(kind, kind) + limits.replace(str(2**53), "2⁵³")

    def _allowed_inside(self, node: Node) -> str:
        if "properties" in node:
            return (
                "`{" + ", ".join(f"{name}: {self._allowed(each)}" for name, each in node["properties"].items()) + "}`"
            )
        if node["type"] == "object":
            values = node.get("additionalProperties")
            return f"by name: {self._allowed(values) if isinstance(values, dict) else 'anything'}"
        if "prefixItems" in node:
            return f"list of {node['maxItems']}: {self._allowed(node['prefixItems'][0])}"
        return f"list of: {'the kinds above' if self._is_section(node['items']) else self._allowed(node['items'])}"


def as_text(value: Any) -> str:
    """A value as YAML has it, on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _name(node: Node) -> str:
    """The name of the section that a node refers to; empty for a node that says all itself."""
    return str(node.get("$ref", "")).rpartition("/")[2]
