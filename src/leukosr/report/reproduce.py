"""The command that composes a study's parameters again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from leukosr.config import Params, parse_params
from leukosr.errors import LeukoError
from leukosr.quoting import listed, meant, require_folder, short

SPEED_ONLY = "runtime"
MOST_TRIES = 20  # each composes the configuration, in a few tenths of a second


@dataclass(frozen=True)
class Reproduction:
    """A `dvc exp run` command. exact: it composes the same parameters but for `runtime`; else it names the study."""

    command: str
    exact: bool


def reproduction(params: Params, conf: Path) -> Reproduction:
    """The shortest command found that composes `params` from the folder `conf`.

    Settings that others derive from come first, so that derived ones need not be named. Not exact where `conf` is
    missing, or has changed in a way that no override restores.
    """
    chosen = [f"study={params.study.name}", f"budget={params.budget.name}"]
    base = Reproduction(_command(chosen), exact=False)
    for _ in range(MOST_TRIES):
        try:
            composed = _compose(conf, chosen)
            found = _parsed(composed, conf)
        except (HydraException, OmegaConfBaseException, LeukoError):
            return base
        missing = _overrides(composed, params, found)
        if missing is None:
            return Reproduction(_command(chosen), exact=True)
        if not missing:
            return base
        chosen += missing
    return base


def _overrides(composed: DictConfig, params: Params, found: Params) -> list[str] | None:
    """What to change next: groups, else all plain values, else one derived value. None when nothing differs."""
    if params.claims is None and found.claims is not None:  # other arms may not be able to keep them
        return ["claims=null"]
    if found.arms != params.arms:
        return [f"arms=[{','.join(params.arms)}]"]
    if found.degrade.method != params.degrade.method:
        return [f"degrade={params.degrade.method}"]
    tree = _dumped(params)
    wanted, present = _leaves(tree), _leaves(_dumped(found))
    if wanted == present:
        return None
    others = [key for key in wanted if key not in present or present[key] != wanted[key]]
    # a mapping may stand where the configuration has a plain value: the format of an arm's files
    known = [key if key in present else key.rpartition(".")[0] for key in others]
    known = [key for key in known if key in present]
    changed = [key for key in known if _derived(composed, key) is None] or [
        section for key in known[:1] if (section := _derived(composed, key))
    ]
    return [f"{key}={_text(_at(tree, key))}" for key in changed]


def composed_params(conf: Path, study: str, budget: str, overrides: Sequence[str] = ()) -> Params:
    """The parameters that `dvc exp run -S study=… -S budget=… -S …` would compose from the folder `conf`.

    Raises LeukoError for a folder that is not there, a study or budget that it lacks, and values that are not allowed.
    """
    require_folder(conf, "run this in the project's folder")
    for group, name in (("study", study), ("budget", budget)):
        known = sorted(file.stem for file in (conf / group).glob("*.yaml"))
        if name not in known:
            raise LeukoError(
                f"{conf / group} has no {group} '{short(name)}', expected one of {listed(known)}{meant(name, known)}"
            )
    try:
        return _parsed(_compose(conf, [f"study={study}", f"budget={budget}", *overrides]), conf)
    except (HydraException, OmegaConfBaseException) as error:
        reason = str(error).partition("\n")[0]
        raise LeukoError(f"{conf} cannot be composed with {' '.join(overrides)}: {reason}") from None


def _parsed(composed: DictConfig, conf: Path) -> Params:
    return parse_params(OmegaConf.to_container(composed, resolve=True), str(conf))


def _compose(conf: Path, overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(conf.resolve()), version_base=None):
        return compose("config", overrides=overrides)


def _dumped(params: Params) -> dict[str, Any]:
    return params.model_dump(mode="json", exclude={SPEED_ONLY})


def _leaves(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Every value by its dotted key; lists are values."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _leaves(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def _derived(composed: DictConfig, key: str) -> str | None:
    """The key, or the section that holds it, which is taken from elsewhere in the configuration; None for neither."""
    node: Any = composed
    names = key.split(".")
    for depth, name in enumerate(names, 1):
        if not isinstance(node, DictConfig) or name not in node or OmegaConf.is_interpolation(node, name):
            return ".".join(names[:depth])
        node = node[name]
    return None


def _at(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree[name]
    return tree


def _text(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_text(part)}" for name, part in value.items()) + "}"
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z_][\w./-]*", value):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if not isinstance(value, str) else value


def _command(overrides: list[str]) -> str:
    return "dvc exp run " + " ".join(f"-S {shlex.quote(each)}" for each in overrides)
