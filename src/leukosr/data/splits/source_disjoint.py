"""`source_disjoint`: no source is in two parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

from leukosr.data.manifest import CLASSIFIER_ROLES, FOLD
from leukosr.data.settings import Prepare
from leukosr.data.splits.shares import Candidate, most_per_role, of_class, whole_shares
from leukosr.engine.seeding import stream_rng, stream_seed
from leukosr.errors import LeukoError
from leukosr.quoting import counted

CLASSIFIER = "classifier"  # all that classifiers use, before it is cut into folds
OFFICIAL = ("val", "test")  # parts of a set that are the test here


def source_disjoint(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """Roles that keep sources apart: image id -> role, for images whose source is known.

    Sources are cut by the fractions within each class, at least one for each part. Where the set has an official test
    part, its sources are the classifier's test and leave the training parts, which share the rest in their proportions.
    SR validates on one source of its part; with a fraction of 0 it has neither. `most` caps the images that
    classifiers train on, by class. With `folds` what the classifiers have is cut into as many parts of whole sources,
    stratified by class where possible; every part is tested once. Raises LeukoError for a class with too few sources.
    """
    known = [item for item in items if item.source]
    official = {item.source for item in known if item.part in OFFICIAL}
    fractions = settings.source_disjoint
    shares = {
        "sr_train": fractions.sr_train,
        "classifier_train": fractions.classifier_train,
        "classifier_val": fractions.classifier_val,
        "classifier_test": fractions.classifier_test,
    }
    if official:
        del shares["classifier_test"]
    if not fractions.sr_train:
        del shares["sr_train"]
    by_class: dict[str, set[str]] = {item.label: set() for item in known if item.part != "reference"}
    for item in known:
        if item.part != "reference" and item.source not in official:
            by_class[item.label].add(item.source)
    role_of_source = dict.fromkeys(official, "classifier_test")
    for label, members in sorted(by_class.items()):
        role_of_source |= _cut_sources(label, members, role_of_source.keys(), shares, seed)
    roles = {item.id: _role_of(item, role_of_source, bool(official)) for item in known}
    limits = most_per_role(settings)
    if fractions.folds is None:
        return _limited(known, roles, limits, seed, most)
    roles = {i: CLASSIFIER if role in CLASSIFIER_ROLES else role for i, role in roles.items()}
    limits |= {CLASSIFIER: settings.per_class.classifier}
    if most is not None:  # each classifier trains on all folds but one
        part = (fractions.folds - 1) / fractions.folds
        most = {label: round(count / part) for label, count in most.items()}
    return _in_folds(known, _limited(known, roles, limits, seed, most), fractions.folds, seed)


def _in_folds(items: Sequence[Candidate], roles: dict[str, str], folds: int, seed: int) -> dict[str, str]:
    """The roles with those of the classifiers' images replaced by `fold_1` to `fold_<folds>`, whole sources each."""
    from sklearn.model_selection import StratifiedGroupKFold

    pooled = sorted((item for item in items if roles[item.id] == CLASSIFIER), key=lambda item: item.id)
    ids, labels, groups = ([getattr(i, name) for i in pooled] for name in ("id", "label", "source"))
    for label in sorted(set(labels)):
        own = len({group for group, other in zip(groups, labels, strict=True) if other == label})
        if own < folds:
            raise LeukoError(
                f"{of_class(label)} has {counted(own, 'source')} for the classifiers, too few for {folds} folds: set "
                f"prepare.source_disjoint.folds to {own} or less, or add images of more sources"
            )
    cut = StratifiedGroupKFold(folds, shuffle=True, random_state=stream_seed(seed, "split", "folds") % 2**32)
    given = dict(roles)
    for number, (_, test) in enumerate(cut.split(ids, labels, groups), start=1):
        given |= {ids[place]: f"{FOLD}{number}" for place in test}
    return given


def _role_of(item: Candidate, role_of_source: Mapping[str, str], official: bool) -> str:
    if item.part == "reference":
        return "reference"  # never trained on, whatever its source is used for
    role = role_of_source.get(item.source, "unused")
    train_copy_of_test = role == "classifier_test" and official and item.part not in OFFICIAL
    return "unused" if train_copy_of_test else role


def _limited(
    items: Sequence[Candidate],
    roles: dict[str, str],
    limits: Mapping[str, int | None],
    seed: int,
    most: Mapping[str, int] | None,
) -> dict[str, str]:
    """The roles with images beyond the limits as `unused`; those are drawn at random."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in items:
        groups[item.label, roles[item.id]].append(item.id)
    for (label, role), ids in sorted(groups.items()):
        allowed = limits.get(role)
        if role in ("classifier_train", CLASSIFIER) and most is not None:
            allowed = most.get(label)
        order = stream_rng(seed, "split", "source_disjoint", label, role).permutation(len(ids))
        for i in order[allowed:] if allowed is not None else ():
            roles[sorted(ids)[i]] = "unused"
    return roles


def _cut_sources(
    label: str, known: Set[str], given: Set[str], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    members = sorted(known - given)
    alone = ["sr_val"] if "sr_train" in shares else []
    needed = len(shares) + len(alone)
    if len(members) < needed:
        shared = f" that no other class has ({len(known & given)} show several classes)" if known & given else ""
        remedy = "take the protocol patient_disjoint" if shared else "choose a protocol that needs none"
        raise LeukoError(
            f"{of_class(label)} has {counted(len(members), 'source')} to share out{shared}; at least {needed} are "
            f"needed, one each for {', '.join([*alone, *shares])}: add images of more sources, or {remedy}"
        )
    order = stream_rng(seed, "split", "source_disjoint", label).permutation(len(members))
    cut = {members[i]: "sr_val" for i in order[len(members) - len(alone) :]}
    start = 0
    counts = whole_shares(len(members) - len(alone), list(shares.values()))
    for role, count in zip(shares, counts, strict=True):
        cut |= {members[i]: role for i in order[start : start + count]}
        start += count
    return cut
