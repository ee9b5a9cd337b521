"""YAML that people wrote, read with bounds: no file may hang the program or fill its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from leukosr.errors import LeukoError

MOST_BYTES = 2**18  # half a second of PyYAML's time
MOST_VALUES = 100_000  # with aliases followed: nine lines of them can stand for a billion values
DEEPEST = 50
INTEGER = "tag:yaml.org,2002:int"
MOST_DIGITS = 1000  # of an integer; Python prints 4,300 at most, so that no message could name a longer one


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises FileNotFoundError where there is none, and LeukoError for one that is unreadable, larger than 256 KB, no
    YAML, nested too deeply or too large once its aliases are followed, and for a key that stands twice in one mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise LeukoError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(content) > MOST_BYTES:
        raise LeukoError(f"{path} is larger than {MOST_BYTES // 2**10} KB, which no file of settings is")
    try:
        loader = yaml.SafeLoader(content.decode("utf-8-sig"))
        node = loader.get_single_node()
        if node is None:
            return None
        _check(path, node)
        return loader.construct_document(node)
    except RecursionError:
        raise LeukoError(f"{path} is nested too deeply for a file of settings") from None
    # PyYAML answers values that are not what their tag says with nearly any error
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise LeukoError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from None


def _check(path: Path, root: yaml.Node) -> None:
    """Walk the nodes as often as aliases name them, before anything is built of them."""
    seen, ahead = 0, [(root, 1)]
    while ahead:
        node, depth = ahead.pop()
        seen += 1
        if depth > DEEPEST:
            raise LeukoError(f"{path} is nested more than {DEEPEST} levels deep (line {node.start_mark.line + 1})")
        if seen > MOST_VALUES:
            raise LeukoError(f"{path} holds more than {MOST_VALUES:,} values once its aliases are followed")
        if node.tag == INTEGER and len(node.value) > MOST_DIGITS:
            line, digits = node.start_mark.line + 1, len(node.value)
            raise LeukoError(f"{path} line {line}: an integer of {digits:,} digits, which no setting is")
        if isinstance(node, yaml.MappingNode):
            keys = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if (key.tag, key.value) in keys:
                        raise LeukoError(f"{path} line {key.start_mark.line + 1}: the key '{key.value}' stands twice")
                    keys.add((key.tag, key.value))
                ahead += [(key, depth + 1), (value, depth + 1)]
        elif isinstance(node, yaml.SequenceNode):
            ahead += [(value, depth + 1) for value in node.value]
