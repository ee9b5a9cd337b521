"""Roles of images under the two protocols. A split depends on the study's seed alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from leukosr.config import PerClass, Prepare
from leukosr.data.catalogue import Checked
from leukosr.engine.seeding import stream_rng
from leukosr.errors import LeukoError

ROLES = ("sr_train", "sr_val", "classifier_train", "classifier_val", "classifier_test", "reference", "unused")


def outside_sr(images: Sequence[Checked], disjoint: Mapping[str, str]) -> list[Checked]:
    """The images with what SR uses under source_disjoint as TRAIN and the rest as TEST, where a set has no such parts.

    So the classifiers of the paper protocol, run beside it, see no image that SR was trained on.
    """
    return [
        replace(image, found=replace(image.found, part="train" if _used_by_sr(image, disjoint) else "test"))
        if image.found.part == "all"
        else image
        for image in images
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


def source_disjoint_roles(
    images: Sequence[Checked],
    sources: Mapping[str, str],
    settings: Prepare,
    seed: int,
    classifier_train: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Roles in which no source plays two: image id -> role, for images whose source is known.

    Sources are cut by the fractions within each class, at least one for each part. Where the set has an official test
    part, its sources are the classifier's test and leave the training parts, which share the rest in their proportions.
    SR validates on one source of its part. `classifier_train` caps the images that classifiers train on, by class.
    Raises LeukoError for a class with too few sources.
    """
    known = [image for image in images if image.found.image_id in sources]
    official = {sources[i.found.image_id] for i in known if i.found.part == "test"}
    fractions = settings.source_disjoint
    shares = {
        "sr_train": fractions.sr_train,
        "classifier_train": fractions.classifier_train,
        "classifier_val": fractions.classifier_val,
        "classifier_test": fractions.classifier_test,
    }
    if official:
        del shares["classifier_test"]
    by_class: dict[str, set[str]] = {image.found.label: set() for image in known if image.found.part != "reference"}
    for image in known:
        source = sources[image.found.image_id]
        if image.found.part != "reference" and source not in official:
            by_class[image.found.label].add(source)
    role_of_source = dict.fromkeys(official, "classifier_test")
    for label, members in sorted(by_class.items()):
        role_of_source |= _cut_sources(label, sorted(members - role_of_source.keys()), shares, seed)
    roles = {image.found.image_id: _role_of(image, role_of_source, sources, bool(official)) for image in known}
    return _limited(known, roles, settings, seed, classifier_train)


def _role_of(image: Checked, role_of_source: Mapping[str, str], sources: Mapping[str, str], official: bool) -> str:
    if image.found.part == "reference":
        return "reference"  # never trained on, whatever its source is used for
    role = role_of_source.get(sources[image.found.image_id], "unused")
    train_copy_of_test = role == "classifier_test" and official and image.found.part != "test"
    return "unused" if train_copy_of_test else role


def _limited(
    images: Sequence[Checked],
    roles: dict[str, str],
    settings: Prepare,
    seed: int,
    classifier_train: Mapping[str, int] | None,
) -> dict[str, str]:
    """The roles with what is over the limits as `unused`; which images those are is drawn."""
    limit, share = settings.per_class, settings.classifier_train_fraction
    most: dict[str, int | None] = {"sr_train": limit.sr_train, "sr_val": limit.sr_val}
    if limit.classifier is not None:
        train = min(max(round(share * limit.classifier), 1), limit.classifier - 1)
        most |= {"classifier_train": train, "classifier_test": limit.classifier - train}
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for image in images:
        groups[image.found.label, roles[image.found.image_id]].append(image.found.image_id)
    for (label, role), ids in sorted(groups.items()):
        allowed = most.get(role)
        if role == "classifier_train" and classifier_train is not None:
            allowed = classifier_train.get(label)
        order = stream_rng(seed, "split", "source_disjoint", label, role).permutation(len(ids))
        for i in order[allowed:] if allowed is not None else ():
            roles[sorted(ids)[i]] = "unused"
    return roles


def _cut_sources(label: str, members: list[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    needed = len(shares) + 1
    if len(members) < needed:
        raise LeukoError(
            f"class {label} has {len(members)} sources to share out, at least {needed} are needed, one each for "
            f"sr_val, {', '.join(shares)}: bring images of more sources, or set study.protocol to paper"
        )
    order = stream_rng(seed, "split", "source_disjoint", label).permutation(len(members))
    given: dict[str, str] = {}
    start = 0
    counts = _whole_shares(len(members) - 1, list(shares.values()))
    given[members[order[-1]]] = "sr_val"
    for role, count in zip(shares, counts, strict=True):
        given |= {members[i]: role for i in order[start : start + count]}
        start += count
    return given


def _whole_shares(total: int, shares: Sequence[float]) -> list[int]:
    """`total` in whole parts by the shares, at least one each."""
    ideal = [share / sum(shares) * total for share in shares]
    counts = [max(1, int(part)) for part in ideal]
    while sum(counts) < total:
        counts[max(range(len(counts)), key=lambda i: ideal[i] - counts[i])] += 1
    while sum(counts) > total:
        counts[max((i for i in range(len(counts)) if counts[i] > 1), key=lambda i: counts[i] - ideal[i])] -= 1
    return counts
