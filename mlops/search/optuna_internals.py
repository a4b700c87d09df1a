"""The private name of Optuna that we use: a trial's id in its storage.

`optuna.trial.Trial(study, id)` continues a trial of another process. Optuna creates such an object only for
trials that it starts, and has no public way to get the id of a `FrozenTrial`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def open_again(study: optuna.Study, frozen: optuna.trial.FrozenTrial) -> optuna.trial.Trial:
    """The trial of the snapshot `frozen`, to continue it."""
    from optuna.trial import Trial

    return Trial(study, frozen._trial_id)
