"""How much each setting and stream explains of the trials' values, by Optuna's fANOVA."""

from __future__ import annotations

from collections.abc import Sequence

from leukosr.evaluate.runs.trials import Trials

LEAST_TRIALS = 4


def importances(trials: Trials, streams: Sequence[str]) -> dict[str, float]:
    """Shares that add up to 1, of the learning rate and of streams (those that go together as `init+order`).

    Hutter, Hoos & Leyton-Brown 2014. It ranks what a forest of trees can use to predict a value, beside the variance
    components, and has no intervals. Empty for few or equal trials, or where there is nothing to rank.
    """
    import optuna

    columns = {"learning_rate": trials.table["learning_rate"]}
    columns |= {name: trials.table[name.split("+")[0]] for name in streams}
    choices = {name: sorted(set(column.tolist())) for name, column in columns.items()}
    choices = {name: options for name, options in choices.items() if len(options) > 1}
    values = trials.table["value"].tolist()
    if len(values) < LEAST_TRIALS or len(set(values)) < 2 or len(choices) < 2:
        return {}
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(before)
    # as places of equal width on a line: in categories a marginal would run over every product of one-hot columns,
    # 4,096 for twelve seeds, nearly all of which are no seed
    kinds: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(-0.5, len(options) - 0.5) for name, options in choices.items()
    }
    for place, value in enumerate(values):
        given = {name: float(options.index(columns[name].iloc[place])) for name, options in choices.items()}
        study.add_trial(optuna.create_trial(params=given, distributions=kinds, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
