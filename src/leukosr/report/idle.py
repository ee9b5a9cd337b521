"""Networks that gave back what went in: what is said of them says nothing of their method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leukosr.config import Params
from leukosr.evaluate.image_quality import AS_ITS_INPUT
from leukosr.report.results import ArmResults, StudyResults


def idle_sentence(arms: Sequence[ArmResults]) -> str:
    """The arms of which a network did not train, with its SR seed where there are several; empty where all did."""
    named = [arm.look.label + _which(arm.facts) for arm in arms if arm.facts.get("did_not_train")]
    if not named:
        return ""
    return f"Did not train: {', '.join(named)}, within {AS_ITS_INPUT} dB of what went in: no evidence against a method."


def idle_experiments(params: Params, results: StudyResults) -> dict[str, list[ArmResults]]:
    """The experiments on images of which a network did not train, each with the arms of these images."""
    idle = [(params.upscale[name], arm) for name, arm in results.arms.items() if arm.facts.get("did_not_train")]
    found: dict[str, list[ArmResults]] = {}
    for name in results.experiments:
        shown = [params.source_arm(arm) for arm in params.classify[name].arms]
        for settings, arm in idle:
            if settings in shown:
                found.setdefault(name, []).append(arm)
    return found


def all_idle(arm: ArmResults) -> bool:
    """Whether none of the networks of an arm trained."""
    networks = _networks(arm.facts)
    return bool(arm.facts.get("did_not_train")) and all(networks.values())


def _networks(facts: Mapping[str, Any]) -> dict[str, bool]:
    """Of each SR seed, or fold, whether its network did not train; empty for one network."""
    return {name: bool(each.get("did_not_train")) for name, each in facts.get("per_sr_seed", {}).items()}


def _which(facts: Mapping[str, Any]) -> str:
    networks = _networks(facts)
    idle = [name for name, each in networks.items() if each]
    if not idle:
        return ""
    kind = "SR seed " if idle[0].isdecimal() else ""
    return f" ({kind}{', '.join(idle)} of {', '.join(networks)})"
