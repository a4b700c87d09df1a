"""`mlops train`, and its `--profile`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, cast

import click

from mlops.cli.output import json_option, show
from mlops.cli.parameters import MOST_PROCESSES, MOST_SECONDS, MOST_TRIALS, NAME, SEED, Number
from mlops.errors import UserError, require
from mlops.terminal.messages import note
from mlops.terminal.progress import status

if TYPE_CHECKING:
    from mlops.search import StudyRequest
    from mlops.search.profiling import Profile
    from mlops.systems.spec import SystemSpec


def split_parts(given: tuple[str, ...]) -> tuple[str, ...]:
    """`("a;b", "", "c")` as `("a", "b", "c")`."""
    return tuple(part for text in given for part in text.split(";") if part)


DEFAULT_SYSTEM = "blood-cell-classifier"


@click.command()
@click.argument("system", default=DEFAULT_SYSTEM)
@click.option(
    "--data",
    "data",
    multiple=True,
    help="Folder, data.yaml, file or s3://bucket/prefix (repeatable: merged).  [default: demo data]",
)
@click.option("--class-map", help="YAML that maps the classes of each source to the trained classes.")
@click.option(
    "--data-version", type=NAME, default="", help="Your name for this version of the data, e.g. v12."
)
@click.option(
    "--trials", default=1, show_default=True, type=click.IntRange(1, MOST_TRIALS), help="Number of trials."
)
@click.option("--epochs", help="Same as --set epochs=N.")
@click.option("--workers", help="Same as --set workers=N: data-loading processes.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=SEED,
    help="Seed of demo data, search and training.",
)
@click.option(
    "--study", type=NAME, default="", help="Study name.  [default: from system, data digest and space]"
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a recipe value (repeatable)."
)
@click.option(
    "--parallel",
    default=1,
    show_default=True,
    type=click.IntRange(1, MOST_PROCESSES),
    help="Concurrent trials.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run trials on this machine or on a Ray cluster.",
)
@click.option("--address", default="", help="Address of the Ray cluster.  [default: start one here]")
@click.option("--no-register", is_flag=True, help="Log the best model without registering a version.")
@click.option("--no-register-if", hidden=True, default=False, type=bool)  # MLproject cannot give a flag
@click.option(
    "--profile", is_flag=True, help="Do not train; measure which settings train faster on this machine."
)
@click.option(
    "--profile-budget",
    default=120,
    show_default=True,
    type=Number(10, MOST_SECONDS),
    help="Time limit of --profile in seconds.",
)
@json_option
def train(
    system: str,
    data: tuple[str, ...],
    class_map: str | None,
    data_version: str,
    trials: int,
    epochs: str | None,
    workers: str | None,
    device: str,
    seed: int,
    study: str,
    settings: tuple[str, ...],
    parallel: int,
    engine: str,
    address: str,
    no_register: bool,
    no_register_if: bool,
    profile: bool,
    profile_budget: float,
    as_json: bool,
) -> None:
    """Search, train, track and register one system. To resume, run the same command again.

    SYSTEM is a name from `mlops systems`, or your own YAML file.

    \b
    Examples:
      mlops train
      mlops train railway-detector --data rail/data.yaml --trials 20
      mlops train oct-detector --data oct/ --set variant=yolo26s --set batch=8
      mlops train blood-cell-classifier --data cells.npz --trials 8 --parallel 2
      mlops train railway-detector --data rail/data.yaml --profile
      mlops train oct-detector --data s3://lab/oct --trials 40 --parallel 8 --engine ray --address ray://head:10001
    """
    require("mlops train", "torch", "torchvision", "ultralytics", "timm", "lightning", "kornia")
    from mlops.systems import configure, load_system

    # MLproject passes one string per parameter: '' without a value, `a;b` for several
    settings = split_parts(settings)
    settings += tuple(f"{key}={value}" for key, value in (("epochs", epochs), ("workers", workers)) if value)
    data = split_parts(data)
    demo = not data
    spec = configure(load_system(system or DEFAULT_SYSTEM), settings, demo=demo)
    refuse_odd_files(spec, data, class_map)

    from mlops.data import demo_dataset
    from mlops.files.home import home_folder, open_home
    from mlops.search import StudyRequest, as_text, run_study
    from mlops.tracking import tracking_uri

    home = home_folder()
    request = StudyRequest(
        spec=spec,
        data=data,
        class_map=Path(class_map) if class_map else None,
        data_version=data_version,
        demo=demo,
        trials=trials,
        parallel=parallel,
        engine=cast('Literal["local", "ray"]', engine),
        address=address,
        device=device or "auto",
        seed=seed,
        study=study,
        register_version=not (no_register or no_register_if),
        home=home,
        tracking_uri=tracking_uri(),
        adopt_run=os.environ.get("MLFLOW_RUN_ID", ""),
        progress=sys.stderr.isatty(),
    )
    if profile:
        show_profile(request, profile_budget, as_json)
        return
    open_home()
    if demo:
        made = demo_dataset(spec.name, home / "cache" / "demo" / spec.name, seed=seed)
        request = request.model_copy(update={"data": (str(made),)})
        note(f"No --data given: training {spec.name} on generated demo data.")
    outcome = run_study(request)
    show(outcome, as_json, as_text(outcome))


def refuse_odd_files(spec: SystemSpec, data: tuple[str, ...], class_map: str | None) -> None:
    """Refuse pipes, devices and YAML bombs here, before torch is imported."""
    from mlops.data.class_map import read_class_map
    from mlops.files.regular_files import exists, refuse_odd
    from mlops.files.text_files import read_yaml_file

    for what, path in (("weights", spec.recipe.weights), ("model", spec.recipe.model)):
        refuse_odd(Path(path).expanduser(), f"--set {what}")
    network = Path(spec.recipe.model).expanduser()
    if network.suffix in (".yaml", ".yml") and exists(network):
        read_yaml_file(network, UserError)
    for path in data:
        refuse_odd(Path(path), "--data")
    if class_map:
        read_class_map(Path(class_map))


def show_profile(request: StudyRequest, budget_s: float, as_json: bool) -> None:
    """Measure and print. Without data, uses temporary demo data."""
    from mlops.data import demo_dataset
    from mlops.search.profiling import as_text

    with TemporaryDirectory(prefix="mlops-profile-demo-") as folder:
        if request.demo:
            made = demo_dataset(request.spec.name, Path(folder) / "data", seed=request.seed)
            request = request.model_copy(update={"data": (str(made),)})
        profile = _measured(request, budget_s)
    text = as_text(profile.system, profile.device, profile.pictures, profile.measured, profile.advice)
    show(profile, as_json, text)


def _measured(request: StudyRequest, budget_s: float) -> Profile:
    from mlops.search.profiling import profile_training

    with status("measuring") as shown:
        return profile_training(request, budget_s, shown)
