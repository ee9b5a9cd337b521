"""Reading params.yaml. Every error names the key, the value and what is allowed."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from leukosr.config.params import Params
from leukosr.errors import LeukoError
from leukosr.project import project_root
from leukosr.quoting import absent
from leukosr.yaml_file import read_yaml

COMPOSE = "compose it with `dvc exp run -S study=NAME -S budget=NAME`, or restore the committed one with `git checkout`"
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # what pydantic calls a key that no setting has
TRUTH_VALUES = "YAML reads yes, no, on, off, true and false as truth values"


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate params.yaml.

    Raises LeukoError that names the file, the key, the value and what is allowed.
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        if path.name != "params.yaml":
            raise absent(path, "name parameters that DVC has composed, e.g. params.yaml") from None
        raise LeukoError(f"{path} does not exist: {_remedy(path)}") from None
    return parse_params(raw, str(path))


def _remedy(path: Path) -> str:
    """What to do where params.yaml, which nobody named, is not in the working directory."""
    try:
        root = project_root()
    except LeukoError:
        return "run the command in the root of your clone of LeukoSR"
    if root == path.absolute().parent:
        return f"`git checkout {path.name}` restores the committed one"
    return f"run the command in the root of the project, {root}"


def parse_params(raw: Any, origin: str) -> Params:
    """Validate a parsed params.yaml; `origin` is named in the LeukoError."""
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else "a list" if isinstance(raw, list) else reprlib.repr(raw)
        raise LeukoError(f"{origin} holds {found}, not the sections of a study: {COMPOSE}")
    if isinstance(raw.get("classify"), dict) and "backbone" in raw["classify"]:
        sections = (raw.get(name) for name in ("study", "budget"))
        study, budget = (each.get("name", "NAME") if isinstance(each, dict) else "NAME" for each in sections)
        raise LeukoError(
            f"{origin} is of an older version, without experiments: `dvc exp run -S study={study} -S budget={budget}` "
            "composes and runs a new one; pass your own settings again with -S, those of classify as -S "
            "classifier.KEY=VALUE, where decay is now schedule and augmentation is now augmentations; init in "
            "train_sr.NAME is now start"
        )
    arms = raw.get("upscale")
    if isinstance(arms, dict) and any(isinstance(arm, dict) and "title" in arm for arm in arms.values()):
        raise LeukoError(
            f"{origin} is of an older version: compose it anew with `dvc exp run` and your -S settings; title and "
            "colour of upscale.NAME now stand in report.looks.NAME"
        )
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        told = [explain(problem, raw) for problem in _without_copies(error.errors())]
        misspelt = any(problem["type"] in ("missing", "union_tag_not_found", *UNKNOWN) for problem in error.errors())
        told += _composed_from(origin, raw) if misspelt else ()
        raise LeukoError(f"{origin}: " + "; ".join(told)) from None
    if truths := dict(_truths_for_numbers(raw, params)):
        copies = {key for key in truths if f"classifier.{key.partition('.classifier.')[2]}" in truths}
        told = [f"{key} = {truths[key]}: input should be a number" for key in truths if key not in copies]
        raise LeukoError(f"{origin}: {'; '.join(told)}; {TRUTH_VALUES}")
    return params


def _composed_from(origin: str, raw: Any) -> Iterator[str]:
    """Where to put right what params.yaml says: DVC composes it anew, so nothing that is changed in it lasts."""
    study = raw.get("study")
    name = study.get("name") if isinstance(study, dict) else None
    if Path(origin).name == "params.yaml" and isinstance(name, str):
        file = Path("conf/study", f"{name}.yaml")
        if os.path.isfile(Path(origin).parent / file):  # False, too, for a name that is too long
            yield f"params.yaml was composed from conf/ ({file}) and -S settings, so put it right there"


def _truths_for_numbers(raw: Any, read: Any, at: str = "") -> Iterator[tuple[str, bool]]:
    """The keys, and their truth values, for which a number was read: Python takes true for 1."""
    if isinstance(raw, bool):
        if not isinstance(read, bool) and isinstance(read, int | float):
            yield at, raw
    elif isinstance(raw, dict):
        for key, value in raw.items():
            inner = read.get(key) if isinstance(read, dict) else getattr(read, str(key), None)
            yield from _truths_for_numbers(value, inner, f"{at}.{key}" if at else str(key))
    elif isinstance(raw, list) and isinstance(read, list | tuple):
        for place, (value, inner) in enumerate(zip(raw, read, strict=False)):
            yield from _truths_for_numbers(value, inner, f"{at}.{place}")


def _without_copies(problems: Sequence[Any]) -> list[Any]:
    """Without those of classify.NAME.classifier that `classifier` has, too: the former is a copy of the latter."""
    own = [(each["loc"][1:], each["type"], each["input"]) for each in problems if each["loc"][:1] == ("classifier",)]
    return [
        each
        for each in problems
        if each["loc"][:1] != ("classify",)
        or each["loc"][2:3] != ("classifier",)
        or (each["loc"][3:], each["type"], each["input"]) not in own
    ]


def explain(problem: Any, raw: Any) -> str:
    """One pydantic problem as `key = value: what is allowed`."""
    key = ".".join(_key(problem, raw))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        message = "input should be a section, with keys of its own"
    if problem["type"] == "none_required":
        message = "only null"
    if problem["type"] == "string_pattern_mismatch":
        message = f"only {PATTERN_WORDS[problem['ctx']['pattern']]}"
    if problem["type"] in UNKNOWN:
        return f"unknown key '{key}': remove it or correct its spelling"
    if problem["type"] == "missing":
        return f"key '{key}' is missing: add it"
    if problem["type"] == "union_tag_not_found":
        return f"key '{key}.{_tag(problem)}' is missing: add it"
    if problem["type"] == "union_tag_invalid":
        return f"{key}.{_tag(problem)} = {problem['ctx']['tag']!r}: input should be {problem['ctx']['expected_tags']}"
    value = problem["input"]
    if problem["type"] == "string_type" and isinstance(value, bool):
        message += f"; {TRUTH_VALUES} unless they stand in quotes"
    elif problem["type"] == "string_type" and isinstance(value, int | float):
        message += "; put it in quotes"
    shown = "" if isinstance(value, dict | BaseModel) else f" = {reprlib.repr(value)}"
    return f"{key}{shown}: {message[:1].lower()}{message[1:]}" if key else message


def _tag(problem: Any) -> str:
    """The key that tells the kinds of a section apart."""
    return str(problem["ctx"]["discriminator"]).strip("'")


PATTERN_WORDS = {
    r"^[a-z0-9_]+$": "lower-case letters, digits and _",
    r"^[a-z_]+$": "lower-case letters and _",
    r"^(timm/)?[a-z0-9_.]+$": "a name of torchvision's, or timm/ and one of timm's, in lower case",
    r"^#[0-9A-Fa-f]{6}$": "a colour like #56B4E9",
    r"^(none|imagenet(_v[12])?|pretrained/[A-Za-z0-9_-]+)$": (
        "none, imagenet, imagenet_v1, imagenet_v2 or pretrained/NAME (`leukosr weights list`)"
    ),
    r"^pretrained/[A-Za-z0-9_-]+$": "pretrained/NAME (`leukosr weights list`)",
}
_TAGS = ("method", "by", "filter", "kind")  # keys that tell the kinds of a section apart


def _key(problem: Any, raw: Any) -> list[str]:
    """Where the problem stands in the file: pydantic's location without the names of the types it tried."""
    key, kinds = [], _kinds(raw)
    for part in problem["loc"]:
        if kinds and part == kinds[0]:  # the name of a kind, which may be the name of a key, too
            kinds = kinds[1:]
            continue
        if isinstance(raw, dict | list) and part in (raw if isinstance(raw, dict) else range(len(raw))):
            raw = raw[part]
            kinds = _kinds(raw)
        elif problem["type"] != "missing" or part != problem["loc"][-1]:
            continue
        key.append(str(part))
    return key


def _kinds(raw: Any) -> list[Any]:
    """What the keys that tell kinds apart say, in the order in which pydantic asks them."""
    return [raw[name] for name in _TAGS if name in raw] if isinstance(raw, dict) else []
