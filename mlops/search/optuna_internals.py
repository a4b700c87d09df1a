"""The private name of Optuna that we use: the id of a trial in its storage.

`optuna.trial.Trial(study, id)` goes on with a trial that another process began; Optuna makes such an object
only for trials that it starts itself, and gives no public way to the id of a `FrozenTrial`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def open_again(study: optuna.Study, frozen: optuna.trial.FrozenTrial) -> optuna.trial.Trial:
    """The trial of which `frozen` is a snapshot, to go on with."""
    from optuna.trial import Trial

    return Trial(study, frozen._trial_id)
