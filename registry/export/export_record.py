"""Write manifest, certificate and script of a bundle; log certificate and parity to MLflow."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.store.client import asking
from mlops.store.identity import me
from mlops.tracking.environment import code_state
from registry.evidence.gated_metrics import read_parity, write_parity
from registry.export.bundle import bundle_folder
from registry.export.bundle.check_image import check_picture
from registry.export.bundle.isolated import run_script
from registry.export.bundle.predict_script import script
from registry.export.exported_version import Version
from registry.export.formats.contract import Precision
from registry.export.proof.certificate import Certificate, FileCertificate, as_json, as_markdown

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlops.data.dataset import Dataset
    from registry.export.proof.held_out_images import HeldOutImages

FOLDER = "export"  # among the artifacts of the training run
_LIBRARIES = ("onnxruntime", "onnx", "numpy", "pillow", "torch", "openvino", "coremltools", "tensorrt")


def certificate_of(
    version: Version,
    dataset: Dataset,
    held: HeldOutImages,
    files: Sequence[FileCertificate],
    no_network: str,
) -> Certificate:
    """no_network: why the version's ONNX file is the original; "" if the trained network is."""
    network = "the trained network, in PyTorch"
    return Certificate(
        model=version.model,
        version=version.number,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        original=f"the version's own ONNX file ({no_network})" if no_network else network,
        original_digest=version.onnx_digest,
        data_digest=dataset.identity.digest,
        split=held.split,
        pictures=len(held),
        libraries=_libraries(),
        files=tuple(files),
    )


def write_papers(work: Path, version: Version, certificate: Certificate, held: HeldOutImages) -> str:
    """Write everything except the model files, then `SHA256SUMS`; returns the digest of the bundle."""
    (work / bundle_folder.CERTIFICATE).write_text(as_json(certificate), encoding="utf-8")
    (work / bundle_folder.PAGE).write_text(as_markdown(certificate), encoding="utf-8")
    manifest: dict[str, Any] = {
        "bundle": 1,
        "model": version.model,
        "version": version.number,
        "made_at": certificate.made_at,
        "made_by": me(),
        "licence": version.tags.get("mlops.licence", ""),
        "classes": list(version.classes),
        "preprocessing": version.preprocessing,
        "libraries": dict(certificate.libraries),
        "provenance": _provenance(version, certificate),
    }
    script_for = _served(certificate)
    if script_for:
        text = script(
            script_for,
            boxes=held.boxes is not None,
            classes=held.labels is not None,
            letterbox=version.preprocessing["resize"] == "letterbox",
        )
        (work / bundle_folder.PREDICT).write_text(text, encoding="utf-8")
        check_picture(held, work / bundle_folder.CHECK)
        said = run_script(work)
        manifest["check"] = {"picture": bundle_folder.CHECK, "model": script_for, "says": said}
    manifest["files"] = {
        name: {"sha256": digest, "size_bytes": (work / name).stat().st_size}
        for name, digest in bundle_folder.digests_in(work).items()
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (work / bundle_folder.MANIFEST).write_text(text, encoding="utf-8")
    return bundle_folder.seal(work)


def log(client: MlflowClient, version: Version, certificate: Certificate, work: Path | None) -> None:
    """Log the certificate (and the manifest of a bundle in `work`) to the version's run, and its parities to
    the version's tag, which keeps those of other formats.
    """
    run_id = version.run.info.run_id
    with asking(f"logging the certificate of {version.name}"):
        client.log_text(run_id, as_json(certificate), f"{FOLDER}/{bundle_folder.CERTIFICATE}")
        client.log_text(run_id, as_markdown(certificate), f"{FOLDER}/{bundle_folder.PAGE}")
        if work is not None:
            for name in (bundle_folder.MANIFEST, bundle_folder.SUMS):
                client.log_artifact(run_id, str(work / name), FOLDER)
        tags = client.get_model_version(version.model, version.number).tags or {}  # as they are by now
    found = certificate.parities()
    new = {each.format for each in found}
    kept = [each for each in read_parity(tags, version.files) if each.format not in new]
    write_parity(client, version.model, version.number, [*kept, *found])


def _served(certificate: Certificate) -> str:
    """The default ONNX file of `predict.py`: the one with the highest precision; "" without any."""
    there = {file.precision: file.path for file in certificate.files if file.format == "onnx"}
    return next((there[precision] for precision in Precision if there.get(precision)), "")


def _provenance(version: Version, certificate: Certificate) -> dict[str, Any]:
    tags, entry, registered = version.tags, version.entry, version.registered
    code = code_state()
    return {
        "run_id": version.run.info.run_id,
        "trained_by": version.run.data.tags.get("mlflow.user", ""),
        "data_digest": certificate.data_digest,
        "data_version": tags.get("mlops.dataset_version", ""),
        "demo": tags.get("mlops.demo", "") == "true",
        "recipe_digest": tags.get("mlops.recipe_digest", ""),
        "code_commit": tags.get("mlops.code_commit", ""),
        "code_dirty": tags.get("mlops.code_dirty", "") == "true",
        "exported_with": {"code_commit": code.commit, "code_dirty": code.dirty},
        "version_files": dict(version.files),
        "stage": version.stage,
        "ledger": None
        if entry is None
        else {"sequence": entry.sequence, "digest": entry.digest, "says": entry.in_words()},
        "registered": None
        if registered is None
        else {
            "sequence": registered.sequence,
            "digest": registered.digest,
            "late": registered.origin.get("late") == "true",
        },
    }


def _libraries() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in _LIBRARIES:
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            continue
    return found
