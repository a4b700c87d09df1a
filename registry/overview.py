"""What a release engineer looks at: all models by stage, one version, two versions."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion
from registry.connect import asking
from registry.entry import ALONE, Entry, Stage
from registry.ledger import LEDGER_OF_TAG, SUFFIX, read
from registry.shelf import HAND_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_PAGE = 1000
_KEY_METRICS = ("test/macro_f1", "test/mAP50", "test/mAP50-95", "test/recall")


@dataclass(frozen=True, slots=True)
class Placed:
    """A version and what is said of it first. age_days: since its training registered it."""

    version: str
    stage: str
    age_days: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """production, staging: who is there. newest: the last version. waiting: versions in no stage.

    drift: a sentence where alias, stage and tag do not say the same, or a move is unfinished; "" when all
    is well. `verify` goes further: it asks the ledger.
    """

    model: str
    production: Placed | None
    staging: Placed | None
    newest: Placed | None
    waiting: int
    drift: str


def status(client: MlflowClient, model: str | None = None) -> tuple[ModelStatus, ...]:
    """All registered models (or one) by stage: a request a thousand models or versions, not one a model."""
    with asking("listing the registered models"):
        chosen = "" if model is None else f"name = '{model}'"
        with ThreadPoolExecutor(2) as pool:
            asked = pool.submit(_models, client, chosen)
            versions = _versions(client, chosen)
            models = asked.result()
    if model is not None and not models:
        raise UnknownVersion(f"there is no registered model {model!r}; `mlops registry status` lists them")
    by_model: dict[str, list[ModelVersion]] = {}
    for version in versions:
        by_model.setdefault(version.name, []).append(version)
    return tuple(
        _status_of(each, by_model.get(each.name, []))
        for each in sorted(models, key=lambda m: m.name)
        if not each.name.endswith(SUFFIX) and LEDGER_OF_TAG not in (each.tags or {})
    )


def _models(client: MlflowClient, chosen: str) -> list[RegisteredModel]:
    found: list[RegisteredModel] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(chosen or None, max_results=_PAGE, page_token=token)
        found += page
        if not (token := page.token):
            return found


def _versions(client: MlflowClient, chosen: str) -> list[ModelVersion]:
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(chosen or None, max_results=10 * _PAGE, page_token=token)
        found += page
        if not (token := page.token):
            return found


def _status_of(model: RegisteredModel, versions: list[ModelVersion]) -> ModelStatus:
    newest = max(versions, key=lambda v: int(v.version), default=None)
    held = {stage: [v for v in versions if v.current_stage == stage] for stage in ALONE}
    return ModelStatus(
        model=model.name,
        production=_placed(held[Stage.PRODUCTION][0]) if held[Stage.PRODUCTION] else None,
        staging=_placed(held[Stage.STAGING][0]) if held[Stage.STAGING] else None,
        newest=_placed(newest) if newest else None,
        waiting=sum(v.current_stage == Stage.NONE for v in versions),
        drift=_drift(model, held, versions),
    )


def _drift(
    model: RegisteredModel, held: Mapping[Stage, list[ModelVersion]], versions: list[ModelVersion]
) -> str:
    if any(tag.startswith(HAND_TAG) for tag in model.tags or {}):
        return "a move is under way, or was interrupted"
    aliases = {alias: str(version) for alias, version in (model.aliases or {}).items()}
    for stage in ALONE:
        there, alias = [str(v.version) for v in held[stage]], aliases.get(stage.lower())
        if len(there) > 1:
            return f"{len(there)} versions in {stage}"
        if there != ([alias] if alias else []):
            holds = there[0] if there else "none"
            return f"@{stage.lower()} is version {alias or 'none'}, stage {stage} holds {holds}"
    for version in versions:
        tag = (version.tags or {}).get("mlops.stage", "None")
        if tag != version.current_stage:
            return f"version {version.version} is in {version.current_stage}, its tag says {tag}"
    return ""


def _placed(version: ModelVersion) -> Placed:
    born = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    tags = version.tags or {}
    shown = {name: float(tags[name]) for name in _KEY_METRICS if name in tags}
    age = (datetime.now(UTC) - born).total_seconds() / 86400
    return Placed(str(version.version), str(version.current_stage), round(age, 2), shown)


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """Everything known of one version: what trained it, what it was trained on, what was said and decided."""

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
    entries: tuple[Entry, ...] = ()


def facts(client: MlflowClient, model: str, version: str) -> VersionFacts:
    """Read one version, its run and its entries in the ledger. Raises UnknownVersion."""
    with asking(f"reading {model} version {version}"):
        known = client.get_model_version(model, version)
        run = client.get_run(known.run_id) if known.run_id else None
    return VersionFacts(
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
    """One thing in which two versions differ; "" where one does not have it."""

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


def diff(first: VersionFacts, second: VersionFacts) -> tuple[Differs, ...]:
    """What differs between two versions: params, data, code, and metrics of the test and the best epoch."""
    params = _differing("param", first.params, second.params)
    data = _differing("data", _some(first.tags, _DATA), _some(second.tags, _DATA))
    code = _differing("code", _some(first.tags, _CODE), _some(second.tags, _CODE))
    metrics = _differing("metric", _figures(first), _figures(second))
    return (*params, *data, *code, *metrics)


def _figures(of: VersionFacts) -> dict[str, str]:
    return {n: f"{v:.6g}" for n, v in of.metrics.items() if n.startswith(("test/", "best/"))}


def _some(tags: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: tags[name] for name in names if name in tags}


def _differing(kind: str, first: Mapping[str, str], second: Mapping[str, str]) -> list[Differs]:
    names = sorted({*first, *second})
    pairs = [(name, first.get(name, ""), second.get(name, "")) for name in names]
    return [Differs(kind, name, a, b) for name, a, b in pairs if a != b]
