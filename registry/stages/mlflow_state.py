"""A model's stages in MLflow, and the changes needed to match the ledger."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mlops.errors import UnknownVersion
from mlops.store.client import asking, of_name
from registry.ledger.chain import Chain
from registry.ledger.entry import ALONE, Action, Stage
from registry.ledger.state import LedgerState

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

STAGE_TAG = "mlops.stage"
HEAD_TAG = "mlops.ledger.head"
HAND_TAG = "mlops.moving."
ALIASES = {Stage.STAGING: "staging", Stage.PRODUCTION: "production"}


@dataclass(frozen=True, slots=True)
class ShownVersion:
    """One version in MLflow; tag: its `mlops.stage`, "" without one."""

    version: str
    stage: str
    tag: str


@dataclass(frozen=True, slots=True)
class MlflowState:
    """aliases: alias -> version. hands: tag -> stage change in progress. head: "sequence:digest" or ""."""

    model: str
    versions: Mapping[str, ShownVersion]
    aliases: Mapping[str, str]
    hands: Mapping[str, str] = field(default_factory=dict)
    head: str = ""


class DifferenceKind(StrEnum):
    ALIAS = "alias"
    STAGE = "stage"
    TAG = "tag"
    HEAD = "ledger head"
    GONE = "version"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between MLflow (`found`) and the ledger (`wanted`); "" if absent."""

    kind: DifferenceKind
    subject: str
    wanted: str
    found: str

    @property
    def says(self) -> str:
        found, wanted = self.found or "nothing", self.wanted or "nothing"
        return {
            DifferenceKind.ALIAS: (
                f"alias @{self.subject} is {_version(found)}; the ledger says {_version(wanted)}"
            ),
            DifferenceKind.STAGE: f"version {self.subject} is in stage {found}; the ledger says {wanted}",
            DifferenceKind.TAG: (
                f"tag {STAGE_TAG} of version {self.subject} is {found}; the ledger says {wanted}"
            ),
            DifferenceKind.HEAD: f"tag {HEAD_TAG} is {found[:20]}; the ledger's last entry is {wanted[:20]}",
            DifferenceKind.GONE: f"version {self.subject}, {wanted} in the ledger, was deleted",
        }[self.kind]


def look(client: MlflowClient, model: str) -> MlflowState:
    """Read stages, aliases and tags: two requests. Raises UnknownVersion for an unknown model."""
    try:
        with asking(f"reading {model}"):
            registered = client.get_registered_model(model)
            versions = versions_of(client, model)
    except UnknownVersion as error:
        raise UnknownVersion(
            f"no registered model {model!r}; list them with `mlops registry status`"
        ) from error
    tags = registered.tags or {}
    return MlflowState(
        model=model,
        versions={v.version: v for v in map(_shown, versions)},
        aliases={str(alias): str(version) for alias, version in (registered.aliases or {}).items()},
        hands={key: value for key, value in tags.items() if key.startswith(HAND_TAG)},
        head=tags.get(HEAD_TAG, ""),
    )


def versions_of(client: MlflowClient, model: str) -> list[ModelVersion]:
    """All versions, oldest first."""
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(of_name(model), order_by=["version_number ASC"], page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def head_of(chain: Chain) -> str:
    """The ledger's last decision in the format of the model's tag.

    Training registers versions without touching the model's tags.
    """
    decided = [entry for entry in chain.entries if entry.action is not Action.REGISTER]
    return f"{decided[-1].sequence}:{decided[-1].digest}" if decided else ""


def differences(shelf: MlflowState, state: LedgerState, head: str) -> tuple[Difference, ...]:
    """All differences, in the order in which they are fixed.

    Aliases first, as models are loaded by them and each changes atomically; the head last.
    """
    found: list[Difference] = []
    for stage, alias in ALIASES.items():
        found += _unless_same(
            DifferenceKind.ALIAS, alias, state.holder(stage) or "", shelf.aliases.get(alias, "")
        )
    versions = sorted(
        {*shelf.versions, *state.stages}, key=lambda v: (state.stage_of(v) not in ALONE, int(v))
    )
    for version in versions:
        wanted, shown = state.stage_of(version), shelf.versions.get(version)
        if shown is None:
            found.append(Difference(DifferenceKind.GONE, version, wanted, ""))
            continue
        found += _unless_same(DifferenceKind.STAGE, version, wanted, shown.stage)
        known = version in state.stages
        found += _unless_same(DifferenceKind.TAG, version, wanted if known else "", shown.tag)
    found += _unless_same(DifferenceKind.HEAD, shelf.model, head, shelf.head)
    return tuple(found)


def put_right(client: MlflowClient, model: str, difference: Difference) -> None:
    """Update MLflow to match the ledger; idempotent."""
    subject, wanted = difference.subject, difference.wanted
    with asking(f"updating MLflow to match the ledger of {model} ({difference.says})"):
        if difference.kind is DifferenceKind.ALIAS and wanted:
            client.set_registered_model_alias(model, subject, wanted)
        elif difference.kind is DifferenceKind.ALIAS:
            client.delete_registered_model_alias(model, subject)
        elif difference.kind is DifferenceKind.STAGE:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated; aliases mirror them
                client.transition_model_version_stage(model, subject, wanted)
        elif difference.kind is DifferenceKind.TAG and wanted:
            client.set_model_version_tag(model, subject, STAGE_TAG, wanted)
        elif difference.kind is DifferenceKind.TAG:
            client.delete_model_version_tag(model, subject, STAGE_TAG)
        elif difference.kind is DifferenceKind.HEAD and wanted:
            client.set_registered_model_tag(model, HEAD_TAG, wanted)


def _unless_same(kind: DifferenceKind, subject: str, wanted: str, found: str) -> list[Difference]:
    return [] if wanted == found else [Difference(kind, subject, wanted, found)]


def _shown(version: ModelVersion) -> ShownVersion:
    return ShownVersion(
        str(version.version), str(version.current_stage), (version.tags or {}).get(STAGE_TAG, "")
    )


def _version(name: str) -> str:
    return f"version {name}" if name.isdecimal() else name
