"""Overviews: all models by stage, one version, the difference of two versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion
from mlops.store.client import asking, of_name
from mlops.store.resolve import run_of
from registry.ledger.entry import LedgerEntry, Stage
from registry.ledger.log import LEDGER_OF_TAG, SUFFIX, read
from registry.stages.mlflow_state import ALIASES, HAND_TAG, STAGE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_PAGE = 1000
_KEY_METRICS = ("test/mAP50", "test/macro_f1", "test/mAP50-95", "test/recall")


@dataclass(frozen=True, slots=True)
class Placed:
    """A version with its key metrics. age_days: since its registration."""

    version: str
    stage: str
    age_days: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """production, staging: the version in the stage. newest: the last version.

    drift: a message if alias, stage and tag contradict each other, or a stage change is unfinished; else "".
    `verify` checks more: every version, against the ledger.
    """

    model: str
    production: Placed | None
    staging: Placed | None
    newest: Placed | None
    drift: str


def status(client: MlflowClient, model: str | None = None) -> tuple[ModelStatus, ...]:
    """All registered models (or one) by stage: one request per thousand models."""
    found: list[RegisteredModel] = []
    token: str | None = None
    chosen = None if model is None else of_name(model)
    with asking("listing the registered models"):
        while True:
            page = client.search_registered_models(chosen, max_results=_PAGE, page_token=token)
            found += page
            if not (token := page.token):
                break
    if model is not None and not found:
        raise UnknownVersion(_none_such(model))
    return tuple(
        _status_of(each)
        for each in sorted(found, key=lambda m: str(m.name))
        if not each.name.endswith(SUFFIX) and LEDGER_OF_TAG not in (each.tags or {})
    )


def _none_such(model: str) -> str:
    return f"no registered model {model!r}; list them with `mlops registry status`"


def _status_of(model: RegisteredModel) -> ModelStatus:
    latest = {str(v.current_stage): v for v in model.latest_versions or ()}  # the last version of each stage
    newest = max(latest.values(), key=lambda v: int(v.version), default=None)
    production, staging = latest.get(Stage.PRODUCTION), latest.get(Stage.STAGING)
    return ModelStatus(
        model=model.name,
        production=_placed(production) if production else None,
        staging=_placed(staging) if staging else None,
        newest=_placed(newest) if newest else None,
        drift=_drift(model, latest),
    )


def _drift(model: RegisteredModel, latest: Mapping[str, ModelVersion]) -> str:
    if any(tag.startswith(HAND_TAG) for tag in model.tags or {}):
        return "a stage change is in progress or was interrupted"
    aliases = {alias: str(version) for alias, version in (model.aliases or {}).items()}
    for stage, alias in ALIASES.items():
        held, named = str(latest[stage].version) if stage in latest else "none", aliases.get(alias, "none")
        if held != named:
            return f"@{alias} is version {named}, stage {stage} has {held}"
    for version in latest.values():
        tag = (version.tags or {}).get(STAGE_TAG, Stage.NONE.value)
        if tag != version.current_stage:
            return f"version {version.version} is in {version.current_stage}, its tag says {tag}"
    return ""


def _placed(version: ModelVersion) -> Placed:
    born = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    tags = version.tags or {}
    figures = {name: _figure(tags[name]) for name in _KEY_METRICS if name in tags}
    age = (datetime.now(UTC) - born).total_seconds() / 86400
    shown = {name: value for name, value in figures.items() if value is not None}
    return Placed(str(version.version), str(version.current_stage), round(age, 2), shown)


def _figure(text: str) -> float | None:
    """A tag's value as a number; None if it is not a number, as anyone can set a tag."""
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class VersionOverview:
    """Everything recorded about one version."""

    model: str
    version: str
    stage: str
    aliases: tuple[str, ...]
    run_id: str
    trained_by: str
    created: str
    source: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    entries: tuple[LedgerEntry, ...] = ()


def facts(client: MlflowClient, model: str, version: str) -> VersionOverview:
    """Read one version, its run (if it exists) and its entries in the ledger.

    Raises UnknownVersion.
    """
    with asking(f"reading {model} version {version}"):
        known = client.get_model_version(model, version)
    run = run_of(client, known.run_id)
    return VersionOverview(
        model=model,
        version=str(known.version),
        stage=str(known.current_stage),
        aliases=tuple(known.aliases or ()),
        run_id=known.run_id or "",
        trained_by=run.data.tags.get("mlflow.user", "") if run else "",
        created=datetime.fromtimestamp(known.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        source=known.source or "",
        tags=dict(known.tags or {}),
        params=dict(run.data.params) if run else {},
        metrics=dict(run.data.metrics) if run else {},
        entries=tuple(e for e in read(model, client) if e.version == str(known.version)),
    )


@dataclass(frozen=True, slots=True)
class Differs:
    """One difference of two versions; "" if a version does not have it."""

    kind: str
    name: str
    first: str
    second: str


_DATA = ("mlops.dataset_digest", "mlops.dataset_version", "mlops.demo", "mlops.class_map")
_CODE = (
    "mlops.code_commit",
    "mlops.code_dirty",
    "mlops.recipe_digest",
    "mlops.preprocessing",
    "mlops.licence",
)


def diff(first: VersionOverview, second: VersionOverview) -> tuple[Differs, ...]:
    """The differences of two versions: params, data, code, and metrics of the test and the best epoch."""
    params = _differing("param", first.params, second.params)
    data = _differing("data", _some(first.tags, _DATA), _some(second.tags, _DATA))
    code = _differing("code", _some(first.tags, _CODE), _some(second.tags, _CODE))
    metrics = _differing("metric", _figures(first), _figures(second))
    return (*params, *data, *code, *metrics)


def _figures(of: VersionOverview) -> dict[str, str]:
    return {n: f"{v:.6g}" for n, v in of.metrics.items() if n.startswith(("test/", "best/"))}


def _some(tags: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: tags[name] for name in names if name in tags}


def _differing(kind: str, first: Mapping[str, str], second: Mapping[str, str]) -> list[Differs]:
    names = sorted({*first, *second})
    pairs = [(name, first.get(name, ""), second.get(name, "")) for name in names]
    return [Differs(kind, name, a, b) for name, a, b in pairs if a != b]
