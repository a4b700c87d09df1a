"""The certificate of an export: values, JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from registry.gates.evidence_values import Parity

if TYPE_CHECKING:
    from registry.export.proof.parity import AnyParity, OneParity
    from registry.export.proof.timing import Speed


class Status(StrEnum):
    """passed: matches the original within the limits. failed: exceeds a limit; the file is not in the bundle.
    not shown: there was nothing to compare, e.g. no box; the file is not in the bundle.
    made, not run: in the bundle but not compared. not made: no file was written.
    """

    PASSED = "passed"
    FAILED = "failed"
    NOT_SHOWN = "not shown"
    NOT_RUN = "made, not run"
    NOT_MADE = "not made"


@dataclass(frozen=True, slots=True)
class FileCertificate:
    """One format in one precision.

    reason: why it is not `passed`. path: the path to open, in the bundle. files: SHA-256 by path; several
    if the format is a folder or a pair of files. digest: of the file, or of the list of several files.
    parity: compared with the certificate's original. registered: with the version's own ONNX file; None if
    that is the original. opset: of ONNX. nms: the NMS setting of the file; None for a classifier.
    """

    format: str
    precision: str
    status: Status
    reason: str = ""
    path: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    digest: str = ""
    opset: int | None = None
    nms: Mapping[str, object] | None = None
    parity: AnyParity | None = None
    registered: AnyParity | None = None
    speed: Speed | None = None

    @property
    def key(self) -> str:
        """`onnx`, `onnx-int8`: the format as a policy's parity gate names it."""
        return self.format if self.precision == "fp32" else f"{self.format}-{self.precision}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """original: what the files were compared with. original_digest: SHA-256 of the version's ONNX file.

    split, pictures: the held-out images that were compared. data_digest: of their data set.
    libraries: versions of the libraries that wrote and ran the files.
    """

    model: str
    version: str
    made_at: str
    original: str
    original_digest: str
    data_digest: str
    split: str
    pictures: int
    libraries: Mapping[str, str]
    files: tuple[FileCertificate, ...]

    @property
    def of(self) -> str:
        return f"{self.model}/{self.version}"

    def parities(self) -> tuple[Parity, ...]:
        """The values that gates read: one for each compared file, including failed ones."""
        return tuple(
            Parity(
                format=file.key,
                pictures=file.parity.pictures,
                difference=file.parity.difference,
                agreement=file.parity.agreement,
                digest=file.digest,
                original=self.original_digest,
                passed=file.status is Status.PASSED,
            )
            for file in self.files
            if file.parity is not None
        )


def as_json(certificate: Certificate) -> str:
    """Raises ValueError for NaN or infinity."""
    return json.dumps(asdict(certificate), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(certificate: Certificate) -> str:
    """The certificate as Markdown."""
    c = certificate
    lines = [
        f"# Export of {c.of}",
        "",
        f"Made {c.made_at[:19].replace('T', ' ')} UTC and compared with {c.original} on {c.pictures} "
        f"images of the {c.split} split of the version's data (digest {c.data_digest[:12]}).",
        "",
        "| format | precision | result | agreement | difference | cost | p50 | p95 | images/s | size |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_row(file) for file in c.files),
        "",
        *(f"- {file.format} {file.precision}: {file.reason}" for file in c.files if file.reason),
        "",
        *(line for file in c.files for line in _details(file)),
        "Agreement: fraction of images with the same top-1 class, or of boxes that both models predict. "
        "Difference: maximum difference of a probability or a score. Cost: loss in macro F1 or mAP50-95; "
        "negative is a gain. Times are of the model only, with batch size 1; images/s are in batches.",
        "",
        "Made with " + ", ".join(f"{name} {number}" for name, number in c.libraries.items()) + ".",
        "",
    ]
    return "\n".join(lines)


def _row(file: FileCertificate) -> str:
    parity, speed = file.parity, file.speed
    cells = [file.format, file.precision, file.status.value]
    cells += (
        [f"{parity.agreement:.2%}", f"{parity.difference:.2g}", f"{parity.cost:+.4f} {parity.judged_by}"]
        if parity
        else ["", "", ""]
    )
    cells += (
        [f"{speed.p50_ms:.2f} ms", f"{speed.p95_ms:.2f} ms", f"{speed.per_second:.0f}"]
        if speed
        else ["", "", ""]
    )
    cells.append(f"{file.size_bytes / 1e6:.2f} MB" if file.size_bytes else "")
    return "| " + " | ".join(cells) + " |"


def _details(file: FileCertificate) -> list[str]:
    from registry.export.proof.parity import parts_of

    if not file.path:
        return []
    lines = [f"## {file.path}", "", f"- SHA-256 {file.digest}"]
    if file.opset is not None:
        lines.append(f"- opset {file.opset}")
    if file.nms is not None:
        inside = "in the model" if file.nms.get("in_model") else "left to the caller"
        lines.append(
            f"- NMS {inside} ({file.nms.get('head')} head): score {file.nms.get('score')}, "
            f"IoU {file.nms.get('iou')}, at most {file.nms.get('most')} boxes"
        )
    lines += [line for part in parts_of(file.parity) for line in _figures(part)] if file.parity else []
    if file.registered is not None:
        lines.append(
            f"- compared with the version's own ONNX file: agreement {file.registered.agreement:.2%}, "
            f"difference {file.registered.difference:.2g}"
        )
    if file.speed is not None:
        lines.append(
            f"- timed on {file.speed.device}, load {file.speed.load:.1f}, {file.speed.calls} calls, "
            f"batches of {file.speed.batch}"
        )
    return [*lines, ""]


def _figures(parity: OneParity) -> list[str]:
    from registry.export.proof.parity import BoxParity

    if isinstance(parity, BoxParity):
        return [
            f"- mAP50 {parity.map50:.4f} (original {parity.original_map50:.4f}), "
            f"mAP50-95 {parity.map50_95:.4f} (original {parity.original_map50_95:.4f})",
            f"- {parity.boxes} boxes: {parity.agreement:.2%} matched, mean IoU {parity.iou:.4f}, "
            f"minimum IoU {parity.least_iou:.4f}, mean score difference {parity.mean_difference:.2g}",
        ]
    return [
        f"- accuracy {parity.accuracy:.4f} (original {parity.original_accuracy:.4f}), macro F1 "
        f"{parity.macro_f1:.4f} (original {parity.original_macro_f1:.4f})",
        f"- same top-1 class on {parity.agreement:.2%}, mean probability difference "
        f"{parity.mean_difference:.2g}",
    ]
