"""Optuna's plots of a study, as interactive HTML and as PNG, and its trials as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

_PLOTS = (
    "plot_optimization_history",
    "plot_intermediate_values",
    "plot_param_importances",
    "plot_parallel_coordinate",
    "plot_slice",
    "plot_timeline",
)
_NEED_SEVERAL_COMPLETE = {"plot_param_importances", "plot_parallel_coordinate", "plot_slice"}


def draw_study(study: optuna.Study, folder: Path) -> tuple[Path, ...]:
    """Write every plot for which the study has enough trials, and `trials.csv`. Returns the files."""
    import warnings

    import matplotlib

    matplotlib.use("Agg")
    import optuna

    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "trials.csv"
    study.trials_dataframe().to_csv(table, index=False)
    files = [table]
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    varied = len({tuple(trial.params.items()) for trial in complete}) > 1
    if not complete:
        return tuple(files)
    for plot in _PLOTS:
        if plot in _NEED_SEVERAL_COMPLETE and not varied:
            continue
        name = plot.removeprefix("plot_")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about experimental plots, and importances from few trials
            files += [
                _interactive(study, plot, folder / f"{name}.html"),
                _picture(study, plot, folder / f"{name}.png"),
            ]
    return tuple(files)


def _interactive(study: optuna.Study, plot: str, path: Path) -> Path:
    import optuna

    figure = getattr(optuna.visualization, plot)(study)
    figure.write_html(str(path), include_plotlyjs=True)
    return path


def _picture(study: optuna.Study, plot: str, path: Path) -> Path:
    import optuna
    from matplotlib import pyplot as plt

    axes = getattr(optuna.visualization.matplotlib, plot)(study)
    first = axes.flat[0] if hasattr(axes, "flat") else axes
    figure = first.figure
    figure.set_size_inches(10, 6)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
    return path
