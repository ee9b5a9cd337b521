"""metrics.json says how many epochs were trained, not how many were asked for."""

import pandas as pd
import pytest

from leukosr.stages.classify import _epochs_run


@pytest.mark.parametrize(
    ("trainings", "epochs"),
    [
        ({(1, None): 4, (2, None): 4}, 4),
        ({(1, None): 4, (2, None): 3}, 3.5),
        ({(1, "fold_1"): 2, (1, "fold_2"): 2, (2, "fold_1"): 2, (2, "fold_2"): 3}, 2.25),
    ],
)
def test_trainings_that_stopped_early_count_with_what_they_ran(
    trainings: dict[tuple[int, str | None], int], epochs: float
) -> None:
    rows = [{"seed": seed, "fold": fold} for (seed, fold), count in trainings.items() for _ in range(count)]
    assert _epochs_run(pd.DataFrame(rows).dropna(axis=1)) == epochs
