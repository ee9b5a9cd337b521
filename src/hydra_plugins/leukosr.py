"""What Hydra finds by itself wherever conf/ is composed, in DVC as in LeukoSR: the resolver `by_column`."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


def by_column(columns: Mapping[str, Any], *, _parent_: DictConfig, _root_: DictConfig) -> Any:
    """The entry of `columns` that the budget's column names; params.yaml holds no other.

    Raises ValueError where there is none.
    """
    column = _root_.budget.column
    if column not in columns:
        raise ValueError(f"budget.column = {column!r}: there are sizes for {', '.join(columns)}")
    chosen = columns[column]
    return OmegaConf.create(chosen, parent=_parent_) if isinstance(chosen, dict) else chosen


OmegaConf.register_new_resolver("by_column", by_column, replace=True)  # Hydra may load this module again
