"""One version before the gates of one stage: gathered, judged, and kept where a reader finds it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.connect import asking
from registry.entry import Action, Stage
from registry.signing import counting
from registry.state import verdicts

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.evidence import Evidence
    from registry.gates import GateResult
    from registry.lifecycle import Scene

FOLDER = "release"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The gates of `stage` and what they read. evidence_digest: SHA-256 of `evidence` as it is kept."""

    stage: Stage
    results: tuple[GateResult, ...]
    evidence: Evidence
    evidence_digest: str

    @property
    def passed(self) -> bool:
        """A gate whose figure was never measured does not pass."""
        return all(result.passed is True for result in self.results)

    @property
    def files(self) -> Mapping[str, str] | None:
        return self.evidence.files

    @property
    def refusing(self) -> tuple[GateResult, ...]:
        return tuple(result for result in self.results if result.passed is not True)


def judge_version(scene: Scene, version: str, stage: Stage, *, beside_champion: bool = True) -> Judgement:
    """Gather the evidence of `version` and hold it against the gates of `stage`.

    beside_champion: compare it with the version that is there; a rollback does not, as that one is bad.
    """
    from registry.evidence import Approval, evidence_digest, with_approvals
    from registry.gates import judge
    from registry.gather import gather

    champion = scene.state.holder(stage) if beside_champion else None
    said = verdicts(scene.chain.entries, version, stage, counting(scene.policy.signing_keys))
    evidence = gather(scene.client, scene.model, version, scene.policy, champion)
    evidence = with_approvals(
        evidence, tuple(Approval(who, e.action is Action.APPROVE, e.why) for who, e in said.items())
    )
    results = judge(scene.policy.gates_for(stage), evidence)
    return Judgement(stage, results, evidence, evidence_digest(evidence))


def keep(client: MlflowClient, judged: Judgement) -> str:
    """Put the evidence and the gate table beside the training run's files; the name of the evidence there.

    Written before the ledger names its digest. A version without a run keeps it as a tag.
    """
    from registry.evidence import evidence_json

    evidence, text = judged.evidence, evidence_json(judged.evidence)
    name = f"{FOLDER}/{evidence.model}-{evidence.version}-{judged.evidence_digest[:12]}"
    with asking(f"keeping the evidence on {evidence.name}"):
        if evidence.run_id:
            client.log_text(evidence.run_id, text, f"{name}.json")
            client.log_text(evidence.run_id, as_markdown(judged), f"{name}-{judged.stage.lower()}.md")
        else:
            client.set_model_version_tag(
                evidence.model, evidence.version, f"mlops.evidence.{judged.evidence_digest[:12]}", text
            )
    return f"{name}.json"


def as_markdown(judged: Judgement) -> str:
    """The gate table for MLflow's artifact view."""
    lines = [
        f"# {judged.evidence.name} before {judged.stage}",
        "",
        "| gate | measured | limit | result |",
        "|---|---|---|---|",
    ]
    lines += [f"| {r.gate} | {r.figure} | {r.limit} | {verdict(r)} |" for r in judged.results]
    lines += ["", *(f"- {r.says}" for r in judged.refusing), "", f"Evidence: {judged.evidence_digest}", ""]
    return "\n".join(lines)


def verdict(result: GateResult) -> str:
    """passed, refused, or not measured, which refuses too."""
    return {True: "passed", False: "refused", None: "not measured"}[result.passed]


def refused(judged: Judgement) -> str:
    """One line that says which gates refused."""
    says = "; ".join(result.says for result in judged.refusing)
    return f"{judged.evidence.name} does not enter {judged.stage}: {says}"
