"""What a sweep asks of the rest of params.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leukosr.config.arms import ByClass

if TYPE_CHECKING:
    from leukosr.config.params import Params


def split_is_fixed(params: Params) -> bool:
    """Whether another draw of the split would change how many images there are.

    Sources keep different numbers of images where these are limited, so roles cannot change hands; nor can they
    where SR was trained on the training images.
    """
    if params.sweep.target != "classify":
        return False
    split = params.study.split(params.swept_protocol)
    limited = params.prepare.per_class.classifier is not None or len(params.study.protocols) > 1
    return not split.own_sr_part or (split.disjoint and limited)


def check_sweep(params: Params) -> None:
    """It repeats something that there is, under a protocol and by streams that this allows."""
    if not params.trains:
        return
    known = tuple(params.classify if params.sweep.target == "classify" else params.train_sr)
    if not known:
        if params.sweep.target == "classify":
            raise ValueError("sweep.target: this study has no experiment; set it to train_sr")
        raise ValueError("sweep.target: this study trains no SR method; set it to classify")
    if params.sweep.arm is not None and params.sweep.arm not in known:
        raise ValueError(
            f"sweep.arm: unknown '{params.sweep.arm}'; known to {params.sweep.target} are {', '.join(known)}"
        )
    swept = params.swept_arm
    shown = params.classify[swept].arms if params.sweep.target == "classify" else ()
    if alone := [arm for arm in shown if isinstance(params.source_arm(arm), ByClass)]:
        raise ValueError(
            f"sweep.arm: {swept} trains on {alone[0]}, which has no images to test and to draw a split from; "
            "choose another experiment"
        )
    watched = params.classify[swept].classifier if params.sweep.target == "classify" else params.train_sr[swept]
    if params.sweep.reads != watched.reads:
        raise ValueError(
            f"sweep.reads = {params.sweep.reads}: must be {watched.reads}, the weights of {swept}, by sweep.arm"
        )
    by_target = params.protocols_of(params.swept_arm) if params.sweep.target == "classify" else params.study.protocols
    if params.swept_protocol not in by_target:
        raise ValueError(
            f"sweep.protocol: '{params.sweep.protocol}' is none of those of {params.swept_arm}, {', '.join(by_target)}"
        )
    if split_is_fixed(params) and "split" in (params.sweep.streams or ()):
        raise ValueError(
            "sweep.streams: 'split' cannot be drawn anew here, as sources keep different numbers of images, or SR "
            f"trains on the classifiers' images: leave it out, or let {params.swept_protocol} be the one "
            "study.protocol and set budget.per_class.classifier to null"
        )
    folded = params.sweep.target == "classify" and params.study.split(params.swept_protocol).folds
    if params.sweep.design == "search" and folded and params.prepare.source_disjoint.folds is not None:
        raise ValueError(
            "sweep.design: a search needs validation images, and with prepare.source_disjoint.folds every image of "
            "the classifiers is tested: set folds to null, or choose another design"
        )
