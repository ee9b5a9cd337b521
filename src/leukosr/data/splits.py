"""Roles of images under the `paper` protocol, and what both protocols share. A split depends on the seed alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from leukosr.config import PerClass, Prepare
from leukosr.data.catalogue import Checked
from leukosr.data.manifest import FOLD
from leukosr.engine.seeding import stream_rng
from leukosr.errors import LeukoError


def outside_sr(images: Sequence[Checked], disjoint: Mapping[str, str]) -> list[Checked]:
    """The images with what SR uses under source_disjoint as TRAIN and the rest as TEST, where a set has no such parts.

    So the classifiers of the paper protocol, run beside it, see no image that SR was trained on. There images without
    a role under source_disjoint, as their source is not known, are left out: both protocols look at the same ones.
    """
    return [
        replace(image, found=replace(image.found, part="train" if _used_by_sr(image, disjoint) else "test"))
        if image.found.part == "all"
        else image
        for image in images
        if image.found.part != "all" or image.found.image_id in disjoint
    ]


def _used_by_sr(image: Checked, disjoint: Mapping[str, str]) -> bool:
    return disjoint.get(image.found.image_id, "") in ("sr_train", "sr_val")


def paper_roles(images: Sequence[Checked], settings: Prepare, seed: int) -> dict[str, str]:
    """Roles as the case studies give them (000_…, Procedure): image id -> role.

    SR trains on TRAIN; the classifier sees TEST, re-split 80/20 at random within each class. A set without
    TRAIN/TEST is first cut 80/20 within each class. What the budget leaves over is `unused`.
    """
    roles: dict[str, str] = {}
    for label, members in sorted(_by_class(images).items()):
        rng = stream_rng(seed, "split", "paper", label)
        shuffled = [members[i] for i in rng.permutation(len(members))]
        parts = _parts(shuffled, settings.sr_fraction)
        _give_sr(parts["train"], settings.per_class, roles)
        _give_classifier(label, parts["test"], settings, roles)
        limit = settings.per_class.reference
        for position, image_id in enumerate(parts["reference"]):
            roles[image_id] = "reference" if limit is None or position < limit else "unused"
    return roles


def _by_class(images: Sequence[Checked]) -> dict[str, list[Checked]]:
    classes: dict[str, list[Checked]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.found.image_id):
        classes[image.found.label].append(image)
    used = {label for label, members in classes.items() if any(m.found.part != "reference" for m in members)}
    if len(used) < 2:
        raise LeukoError(
            f"the set has one class only ({', '.join(sorted(used)) or 'none'}): a classifier needs two or more"
        )
    return {label: members for label, members in classes.items() if label in used}


def _parts(shuffled: list[Checked], sr_fraction: float) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {"train": [], "test": [], "reference": [], "all": []}
    for image in shuffled:
        parts[image.found.part].append(image.found.image_id)
    cut = round(sr_fraction * len(parts["all"]))
    parts["train"] += parts["all"][:cut]
    parts["test"] += parts["all"][cut:]
    return parts


def _give_sr(ids: list[str], limit: PerClass, roles: dict[str, str]) -> None:
    """Validation images come first, so that a larger training budget keeps them."""
    val = min(limit.sr_val, len(ids) // 2)
    end = len(ids) if limit.sr_train is None else val + limit.sr_train
    for position, image_id in enumerate(ids):
        roles[image_id] = "sr_val" if position < val else "sr_train" if position < end else "unused"


def _give_classifier(label: str, ids: list[str], settings: Prepare, roles: dict[str, str]) -> None:
    limit = settings.per_class.classifier
    chosen = ids if limit is None else ids[:limit]
    if len(chosen) < 2:
        raise LeukoError(
            f"class {label} has {len(chosen)} images for the classifier: at least 2 are needed, one to train "
            f"on and one to test; add images, or lower prepare.sr_fraction ({settings.sr_fraction:g}) where the set "
            "has no train and test parts"
        )
    train = min(max(round(settings.classifier_train_fraction * len(chosen)), 1), len(chosen) - 1)
    for position, image_id in enumerate(ids):
        inside = "classifier_train" if position < train else "classifier_test"
        roles[image_id] = inside if position < len(chosen) else "unused"


def looked_at(images: Sequence[Checked], limit: PerClass, sr_fraction: float, seed: int) -> set[str]:
    """The images whose sources are sought: those that the budget can use under either protocol.

    Of each class and part the first ones in the order of the `paper` protocol, so that all of its images are among
    them; of a training part as many as SR and the classifiers may take together.
    """
    chosen: set[str] = set()
    sr = (
        None if limit.sr_train is None or limit.classifier is None else limit.sr_train + limit.sr_val + limit.classifier
    )
    for label, members in sorted(_by_class(images).items()):
        rng = stream_rng(seed, "split", "paper", label)
        shuffled = [members[i] for i in rng.permutation(len(members))]
        parts = _parts(shuffled, sr_fraction)
        for part, most in (("train", sr), ("test", limit.classifier), ("reference", limit.reference)):
            chosen.update(parts[part][:most])
    return chosen


def training_images(images: Sequence[Checked], roles: Mapping[str, str], folds: int | None = None) -> Counter[str]:
    """How many images of each class a classifier trains on: those of its part, or all folds but one on average.

    Images may have no role.
    """
    role_of = [(image.found.label, roles.get(image.found.image_id, "")) for image in images]
    counts = Counter(label for label, role in role_of if role == "classifier_train")
    if folds is None:
        return counts
    pooled = Counter(label for label, role in role_of if role.startswith(FOLD))
    return Counter({label: round(count * (folds - 1) / folds) for label, count in pooled.items()})


def with_fewer(
    images: Sequence[Checked], roles: Mapping[str, str], allowed: Mapping[str, int], seed: int
) -> dict[str, str]:
    """The roles with no more training images of each class than `allowed`; which become unused is drawn."""
    fewer = dict(roles)
    for label in sorted({image.found.label for image in images}):
        own = [image.found.image_id for image in images if image.found.label == label]
        ids = sorted(image_id for image_id in own if roles.get(image_id) == "classifier_train")
        order = stream_rng(seed, "split", "fewer", label).permutation(len(ids))
        fewer |= {ids[place]: "unused" for place in order[allowed.get(label, 0) :]}
    return fewer
