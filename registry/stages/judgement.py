"""Judge one version by the gates of one stage, and store the evidence."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import UnknownVersion
from mlops.store.client import asking
from registry.ledger.entry import Action, Stage
from registry.ledger.signing import counting
from registry.ledger.state import verdicts

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.gates.evidence_values import Approval, Evidence
    from registry.gates.judge import GateResult
    from registry.ledger.entry import LedgerEntry
    from registry.ledger.state import Counts
    from registry.stages.model_state import ModelState

FOLDER = "release"
EVIDENCE_TAG = "mlops.evidence."


@dataclass(frozen=True, slots=True)
class Judgement:
    """The gate results of one stage with the policy and the evidence, as stored. policy: its JSON content."""

    stage: Stage
    policy: Mapping[str, Any]
    results: tuple[GateResult, ...]
    evidence: Evidence

    @property
    def passed(self) -> bool:
        """A gate whose value was not measured does not pass."""
        return not self.refusing

    @property
    def files(self) -> Mapping[str, str] | None:
        return self.evidence.files

    @property
    def refusing(self) -> tuple[GateResult, ...]:
        from registry.gates.judge import refusals

        return refusals(self.results)

    def as_json(self) -> str:
        """The stored form: sorted keys, no spaces. Raises ValueError for NaN or infinity."""
        return json.dumps(
            asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )

    @property
    def evidence_digest(self) -> str:
        """SHA-256 of the stored form: values, gates and results."""
        return hashlib.sha256(self.as_json().encode("utf-8")).hexdigest()


def judge_version(
    scene: ModelState, version: str, stage: Stage, *, beside_champion: bool = True
) -> Judgement:
    """Gather the evidence of `version` and judge it by the gates of `stage`.

    beside_champion: compare with the current version of the stage; not for a rollback, as that one is bad.
    """
    from registry.evidence.gather import gather
    from registry.gates.evidence_values import with_approvals
    from registry.gates.judge import judge

    champion = scene.state.holder(stage) if beside_champion else None
    evidence = gather(scene.client, scene.model, version, scene.policy, champion, scene.chain.entries)
    counts = counting(scene.policy.signing_keys)
    evidence = with_approvals(evidence, approvals_of(scene.chain.entries, version, stage, counts), stage)
    results = judge(scene.policy.gates_for(stage), evidence)
    return Judgement(stage, scene.policy.model_dump(mode="json"), results, evidence)


def approvals_of(
    entries: Iterable[LedgerEntry], version: str, stage: Stage, counts: Counts
) -> tuple[Approval, ...]:
    """The approvals and rejections of `version` for `stage` in the ledger."""
    from registry.gates.evidence_values import Approval

    said = verdicts(entries, version, stage, counts)
    return tuple(Approval(who, entry.action is Action.APPROVE, entry.why) for who, entry in said.items())


def keep(client: MlflowClient, judged: Judgement) -> str:
    """Log the evidence and the gate table to the training run; returns the path of the evidence.

    Written before the ledger entry with its digest. For a version without a run it is a tag.
    """
    evidence, text = judged.evidence, judged.as_json()
    path = evidence_path(evidence.model, evidence.version, judged.evidence_digest)
    with asking(f"storing the evidence of {evidence.name}"):
        if evidence.run_id:
            client.log_text(evidence.run_id, text, path)
            table = f"{path.removesuffix('.json')}-{judged.stage.lower()}.md"
            client.log_text(evidence.run_id, as_markdown(judged), table)
        else:
            client.set_model_version_tag(
                evidence.model, evidence.version, EVIDENCE_TAG + judged.evidence_digest[:12], text
            )
    return path


def kept(client: MlflowClient, model: str, version: str, digest: str) -> bytes:
    """The stored evidence with that digest, as bytes. Raises UnknownVersion if it is missing."""
    path = evidence_path(model, version, digest)
    with asking(f"reading the evidence of {model} version {version}"):
        known = client.get_model_version(model, version)
        if not known.run_id:
            content = (known.tags or {}).get(EVIDENCE_TAG + digest[:12], "").encode()
        elif path in {file.path for file in client.list_artifacts(known.run_id, FOLDER)}:
            with tempfile.TemporaryDirectory(prefix="mlops-evidence-") as folder:
                content = Path(client.download_artifacts(known.run_id, path, folder)).read_bytes()
        else:
            content = b""
    if not content:
        raise UnknownVersion(f"the evidence {path} of {model} version {version} is missing")
    return content


def evidence_path(model: str, version: str, digest: str) -> str:
    """Path of a version's evidence in the artifacts of its run."""
    return f"{FOLDER}/{model}-{version}-{digest[:12]}.json"


def as_markdown(judged: Judgement) -> str:
    """The gate table for MLflow's artifact view."""
    lines = [
        f"# Gates of {judged.stage} for {judged.evidence.name}",
        "",
        "| gate | measured | limit | result |",
        "|---|---|---|---|",
    ]
    lines += [f"| {r.gate} | {r.figure} | {r.limit} | {verdict(r)} |" for r in judged.results]
    lines += ["", *(f"- {r.says}" for r in judged.refusing), "", f"Evidence: {judged.evidence_digest}", ""]
    return "\n".join(lines)


def verdict(result: GateResult) -> str:
    """passed, refused, or not measured, which refuses, too."""
    return {True: "passed", False: "refused", None: "not measured"}[result.passed]


def refused(judged: Judgement) -> str:
    """One line that names the gates that refused."""
    names = ", ".join(result.gate for result in judged.refusing)
    count = f"{len(judged.refusing)} of {len(judged.results)} gates refuse"
    return f"{judged.evidence.name} may not enter {judged.stage}: {count} ({names})"
