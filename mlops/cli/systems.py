"""`mlops systems`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlops.cli.output import json_option, show
from mlops.terminal.tables import aligned

if TYPE_CHECKING:
    from mlops.systems.spec import SystemSpec


@click.command()
@click.argument("system", required=False)
@json_option
def systems(system: str | None, as_json: bool) -> None:
    """List the systems, or show one: its recipe, variants, demo size and search space.

    \b
    Examples:
      mlops systems
      mlops systems oct-detector
      mlops systems my/system.yaml --json
    """
    from mlops.systems import list_systems, load_system

    if system:
        spec = load_system(system)
        show(spec, as_json, one_system(spec))
        return
    specs = [load_system(name) for name in list_systems()]
    show(specs, as_json, all_systems(specs))


def all_systems(specs: list[SystemSpec]) -> str:
    """One line per system."""
    from mlops.systems.spec import TRAINED_BY

    rows = [("system", "task", "trained by", "model", "objective", "reported result")]
    rows += [(s.name, s.task, TRAINED_BY[s.task], s.recipe.model, s.objective, s.headline) for s in specs]
    return aligned(rows) + "\n\nShow one: mlops systems SYSTEM"


def one_system(spec: SystemSpec) -> str:
    """The whole definition of a system."""
    from mlops.systems.space import describe
    from mlops.systems.spec import TRAINED_BY

    recipe = spec.recipe.model_dump()
    rows = [("recipe", "value", "searched")]
    rows += [
        (key, str(value), describe(spec.space[key]) if key in spec.space else "")
        for key, value in recipe.items()
    ]
    lines = [f"{spec.name}: {spec.title}", f"Classes: {', '.join(spec.classes)}"]
    lines.append(f"Trained by: {TRAINED_BY[spec.task]}; maximises {spec.objective}; licence {spec.licence}")
    if spec.seed_report:
        lines.append(f"Recipe from report {spec.seed_report}: {spec.headline}")
    lines += ["", aligned(rows), ""]
    for name, changes in spec.variants.items():
        lines.append(f"--set variant={name}: {_changes(changes)}")
    if spec.demo:
        lines.append(f"On demo data: {_changes(spec.demo)}")
    if spec.search.trial_epochs:
        trial, full = spec.search.trial_epochs, recipe["epochs"]
        lines.append(f"Search trials run for {trial} epochs; the best configuration is trained for {full}.")
    return "\n".join(lines)


def _changes(changes: dict[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in changes.items())
