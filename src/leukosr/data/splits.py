"""Roles of images under the two protocols. A split depends on the study's seed alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from leukosr.config import PerClass, Prepare, SourceDisjoint
from leukosr.data.catalogue import Checked
from leukosr.engine.seeding import stream_rng
from leukosr.errors import LeukoError

ROLES = ("sr_train", "sr_val", "classifier_train", "classifier_val", "classifier_test", "reference", "unused")


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


def source_disjoint_roles(
    images: Sequence[Checked], sources: Mapping[str, str], fractions: SourceDisjoint, seed: int
) -> dict[str, str]:
    """Roles in which no source plays two: image id -> role, for images whose source is known.

    Sources are cut by the fractions within each class. Where the set has an official test part, its sources
    are the classifier's test and leave the training parts, which share the rest in their proportions.
    """
    roles: dict[str, str] = {}
    known = [image for image in images if image.found.image_id in sources]
    official = {sources[i.found.image_id] for i in known if i.found.part == "test"}
    shares = [("sr_train", fractions.sr_train), ("classifier_train", fractions.classifier_train)]
    shares += [("classifier_val", fractions.classifier_val)]
    if not official:
        shares += [("classifier_test", fractions.classifier_test)]
    by_class: dict[str, set[str]] = defaultdict(set)
    for image in known:
        source = sources[image.found.image_id]
        if image.found.part != "reference" and source not in official:
            by_class[image.found.label].add(source)
    role_of_source = dict.fromkeys(official, "classifier_test")
    for label, members in sorted(by_class.items()):
        role_of_source |= _cut_sources(label, sorted(members - role_of_source.keys()), shares, seed)
    for image in known:
        role = role_of_source.get(sources[image.found.image_id], "unused")
        train_copy_of_test = role == "classifier_test" and bool(official) and image.found.part != "test"
        reference = image.found.part == "reference"  # never trained on, whatever its source is used for
        roles[image.found.image_id] = "reference" if reference else "unused" if train_copy_of_test else role
    return roles


def _cut_sources(label: str, members: list[str], shares: list[tuple[str, float]], seed: int) -> dict[str, str]:
    order = stream_rng(seed, "split", "source_disjoint", label).permutation(len(members))
    total = sum(share for _, share in shares)
    given: dict[str, str] = {}
    start, passed = 0, 0.0
    for role, share in shares:
        passed += share
        end = round(passed / total * len(members))
        given |= {members[i]: role for i in order[start:end]}
        start = end
    return given
