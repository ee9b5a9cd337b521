"""Whether the networks that params.yaml names exist."""

from __future__ import annotations

from leukosr.classify.settings import SHIPPED_BACKBONES
from leukosr.config.params import Params
from leukosr.errors import LeukoError


def refuse_unknown_backbones(params: Params) -> None:
    """Stop where no network has the name of a classifier or of what a loss reads.

    Every stage that may come before hours of training checks this, as `prepare` can come from DVC's cache. Raises
    LeukoError with the key in params.yaml.
    """
    named: dict[str, str | None] = {
        **{f"classify.{name}.classifier": each.classifier.backbone for name, each in params.classify.items()},
        **{f"train_sr.{name}": getattr(each, "backbone", None) for name, each in params.train_sr.items()},
    }
    for section, name in named.items():
        if name is None or name in SHIPPED_BACKBONES:
            continue
        from leukosr.classify.backbones import refuse_unknown  # loads torchvision

        try:
            refuse_unknown(name)
        except LeukoError as error:
            raise LeukoError(f"params.yaml: {section}.backbone: {error}") from None
