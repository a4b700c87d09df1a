"""`mlops registry show | diff`: one version, and two beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from entrypoints import output
from entrypoints.registry_options import columns, connected, number_of

if TYPE_CHECKING:
    from registry.overview import Differs, VersionFacts


@click.command()
@click.argument("model")
@click.argument("version")
@output.json_option
def show(model: str, version: str, as_json: bool) -> None:
    """One VERSION (a number or @alias) of MODEL with everything known about it.

    \b
    Example: mlops registry show blood-cell-classifier @production
    """
    from registry.overview import facts

    client = connected()
    known = facts(client, model, number_of(client, model, version))
    output.show(known, as_json, _facts_text(known))


def _facts_text(known: VersionFacts) -> str:
    aliases = "".join(f" @{alias}" for alias in known.aliases)
    lines = [
        f"{known.model} version {known.version}, {known.stage}{aliases}",
        f"registered {known.created}, trained by {known.trained_by or 'unknown'}, run {known.run_id or '-'}",
        f"files {known.source}",
    ]
    for title, values in (("tags", known.tags), ("params", known.params)):
        lines += ["", title, *(f"  {name}  {value}" for name, value in sorted(values.items()))]
    metrics = {n: v for n, v in known.metrics.items() if n.startswith(("test/", "best/"))}
    lines += ["", "metrics", *(f"  {name}  {value:.6g}" for name, value in sorted(metrics.items()))]
    lines += ["", "ledger", *(f"  {e.sequence}  {e.in_words()}" for e in known.entries)]
    return "\n".join(lines)


@click.command()
@click.argument("model")
@click.argument("first")
@click.argument("second")
@output.json_option
def diff(model: str, first: str, second: str, as_json: bool) -> None:
    """What differs between two versions of MODEL: params, data, code, metrics.

    \b
    Example: mlops registry diff railway-detector @production 7
    """
    from registry.overview import diff as differing
    from registry.overview import facts

    client = connected()
    one, other = (facts(client, model, number_of(client, model, v)) for v in (first, second))
    found = differing(one, other)
    output.show(found, as_json, _diff_text(found, one.version, other.version))


def _diff_text(found: tuple[Differs, ...], first: str, second: str) -> str:
    if not found:
        return f"versions {first} and {second} differ in nothing that is recorded"
    rows: list[tuple[str, ...]] = [("", "", f"version {first}", f"version {second}")]
    rows += [(d.kind, d.name, _short(d.first), _short(d.second)) for d in found]
    return columns(rows)


def _short(text: str) -> str:
    return (text if len(text) <= 40 else text[:39] + "…") or "-"
