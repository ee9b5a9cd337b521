"""Roles under `source_disjoint`: no source plays two. A split depends on the study's seed alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from leukosr.config import Prepare
from leukosr.data.catalogue import Checked
from leukosr.data.manifest import CLASSIFIER_ROLES, FOLD
from leukosr.engine.seeding import stream_rng, stream_seed
from leukosr.errors import LeukoError

CLASSIFIER = "classifier"  # whatever classifiers use, before it is cut into folds


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
    With `folds` what the classifiers have is cut into as many parts of whole sources, with the classes in the same
    proportions as far as that goes; every part is tested once. Raises LeukoError for a class with too few sources.
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
    if fractions.folds is None:
        return _limited(known, roles, _most(settings), seed, classifier_train)
    roles = {i: CLASSIFIER if role in CLASSIFIER_ROLES else role for i, role in roles.items()}
    most = _most(settings) | {CLASSIFIER: settings.per_class.classifier}
    if classifier_train is not None:  # each classifier trains on all folds but one
        part = (fractions.folds - 1) / fractions.folds
        classifier_train = {label: round(count / part) for label, count in classifier_train.items()}
    return _in_folds(known, _limited(known, roles, most, seed, classifier_train), sources, fractions.folds, seed)


def _in_folds(
    images: Sequence[Checked], roles: dict[str, str], sources: Mapping[str, str], folds: int, seed: int
) -> dict[str, str]:
    """The roles with those of the classifiers' images replaced by `fold_1` to `fold_<folds>`, whole sources each."""
    from sklearn.model_selection import StratifiedGroupKFold

    label_of = {image.found.image_id: image.found.label for image in images}
    ids = sorted(image_id for image_id, role in roles.items() if role == CLASSIFIER)
    labels, groups = [label_of[i] for i in ids], [sources[i] for i in ids]
    for label in sorted(set(labels)):
        own = len({group for group, other in zip(groups, labels, strict=True) if other == label})
        if own < folds:
            raise LeukoError(
                f"class {label} has {own} sources for the classifiers, too few for {folds} folds: set "
                f"prepare.source_disjoint.folds to {own} or less, or bring images of more sources"
            )
    cut = StratifiedGroupKFold(folds, shuffle=True, random_state=stream_seed(seed, "split", "folds") % 2**32)
    given = dict(roles)
    for number, (_, test) in enumerate(cut.split(ids, labels, groups), start=1):
        given |= {ids[place]: f"{FOLD}{number}" for place in test}
    return given


def _role_of(image: Checked, role_of_source: Mapping[str, str], sources: Mapping[str, str], official: bool) -> str:
    if image.found.part == "reference":
        return "reference"  # never trained on, whatever its source is used for
    role = role_of_source.get(sources[image.found.image_id], "unused")
    train_copy_of_test = role == "classifier_test" and official and image.found.part != "test"
    return "unused" if train_copy_of_test else role


def _limited(
    images: Sequence[Checked],
    roles: dict[str, str],
    most: Mapping[str, int | None],
    seed: int,
    classifier_train: Mapping[str, int] | None,
) -> dict[str, str]:
    """The roles with what is over the limits as `unused`; which images those are is drawn."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for image in images:
        groups[image.found.label, roles[image.found.image_id]].append(image.found.image_id)
    for (label, role), ids in sorted(groups.items()):
        allowed = most.get(role)
        if role in ("classifier_train", CLASSIFIER) and classifier_train is not None:
            allowed = classifier_train.get(label)
        order = stream_rng(seed, "split", "source_disjoint", label, role).permutation(len(ids))
        for i in order[allowed:] if allowed is not None else ():
            roles[sorted(ids)[i]] = "unused"
    return roles


def _most(settings: Prepare) -> dict[str, int | None]:
    """How many images of a class may play each role."""
    limit = settings.per_class
    most: dict[str, int | None] = {"sr_train": limit.sr_train, "sr_val": limit.sr_val}
    if limit.classifier is not None:
        train = min(max(round(settings.classifier_train_fraction * limit.classifier), 1), limit.classifier - 1)
        held_out = limit.classifier - train
        most |= {"classifier_train": train, "classifier_val": held_out, "classifier_test": held_out}
    return most


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
