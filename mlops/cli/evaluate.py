"""`mlops evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from mlops.cli.output import json_option, show
from mlops.cli.parameters import MOST_PROCESSES
from mlops.cli.train import split_parts


@click.command()
@click.argument("model_or_run")
@click.option(
    "--data",
    multiple=True,
    help="Folder, data.yaml, file or s3://bucket/prefix (repeatable).  [default: the training data]",
)
@click.option("--class-map", help="YAML that maps the classes of --data.  [default: as in training]")
@click.option(
    "--split",
    type=click.Choice(("train", "val", "test")),
    default="test",
    show_default=True,
    help="Split to evaluate.",
)
@click.option(
    "--other-data", is_flag=True, help="Allow data with another digest; the metrics are stored separately."
)
@click.option(
    "--threshold-rule",
    "rule",
    default="",
    metavar="RULE",
    help="How to choose the score threshold: F1, F2, recall>=0.9, image-F2, image-recall>=0.95 or a score.  "
    "[default: F2 for medical systems, else F1]",
)
@click.option(
    "--froc/--no-froc", default=None, help="Compute the FROC curve.  [default: for medical systems]"
)
@click.option(
    "--tta", is_flag=True, help="Evaluate with test-time augmentation (mirrored images): gain and cost."
)
@click.option(
    "--with", "others", multiple=True, metavar="VERSION", help="Ensemble with this version (repeatable)."
)
@click.option("--again", is_flag=True, help="Re-run inference even if per-sample results exist.")
@click.option(
    "--examples",
    type=click.IntRange(0, 200),
    default=12,
    show_default=True,
    help="Images of each kind on the review page; 0: none.",
)
@click.option(
    "--threads",
    type=click.IntRange(0, MOST_PROCESSES),
    default=0,
    show_default=True,
    help="Threads of ONNX Runtime; 0: as many as this machine or container gives.",
)
@click.option("--out", metavar="FOLDER", help="Also write the files to FOLDER.")
@json_option
def evaluate(
    model_or_run: str,
    data: tuple[str, ...],
    class_map: str | None,
    split: Literal["train", "val", "test"],
    other_data: bool,
    rule: str,
    froc: bool | None,
    tta: bool,
    others: tuple[str, ...],
    again: bool,
    examples: int,
    threads: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Evaluate a version on held-out data: metrics, curves, error analysis and a review page.

    MODEL_OR_RUN is NAME/VERSION, NAME@ALIAS, NAME for the newest version, or a run ID. The results are
    logged to the run. Inference runs once per split; later evaluations reuse the stored per-sample results.

    \b
    Examples:
      mlops evaluate blood-cell-classifier
      mlops evaluate railway-detector/3 --threshold-rule "recall>=0.9" --tta
      mlops evaluate oct-detector@staging --with oct-detector/2 --split val
    """
    from mlops.metrics.thresholds import read_rule

    wanted = read_rule(rule) if rule else None

    from mlops.evaluation.evaluate import evaluate as evaluated
    from mlops.evaluation.result import EvaluationRequest, as_text
    from mlops.files.home import open_home
    from mlops.store.client import connect

    found = evaluated(
        connect(),
        EvaluationRequest(
            given=model_or_run,
            cache=open_home() / "cache",
            data=split_parts(data),
            class_map=Path(class_map) if class_map else None,
            split=split,
            rule=wanted,
            again=again,
            other_data=other_data,
            froc=froc,
            tta=tta,
            others=split_parts(others),
            examples=examples,
            threads=threads,
            out=Path(out) if out else None,
        ),
    )
    show(found, as_json, as_text(found))
