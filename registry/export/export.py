"""Export a version: from its name to a bundle and its certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from registry.export.bundle import bundle_folder
from registry.export.export_record import certificate_of, log, write_papers
from registry.export.exported_version import opened
from registry.export.formats.contract import Original, Precision
from registry.export.formats.format_names import format_named
from registry.export.original import trained_network
from registry.export.proof.certificate import Certificate, FileCertificate, Status
from registry.export.proof.certify import Yardstick, answers_of, certify, not_made
from registry.export.proof.held_out_images import answered_by, calibration, held_out, open_data

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.export.proof.certify import ModelOutputs
    from registry.export.proof.held_out_images import HeldOutImages

OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The options of an export.

    data: current paths of the version's data; () for those recorded by its run. pictures: maximum number of
    held-out images to compare on. calibrate: training images for int8. calls: inference calls to time.
    """

    given: str
    formats: tuple[str, ...]
    precisions: tuple[Precision, ...]
    out: Path
    data: tuple[str, ...]
    class_map: Path | None
    cache: Path
    pictures: int = 1000
    calibrate: int = 200
    calls: int = 100


@dataclass(frozen=True, slots=True)
class Exported:
    """bundle: its path; "" if no file passed. digest: identifies the whole bundle."""

    bundle: str
    digest: str
    run_id: str
    certificate: Certificate

    @property
    def failed(self) -> tuple[FileCertificate, ...]:
        return tuple(file for file in self.certificate.files if file.status is Status.FAILED)

    @property
    def not_shown(self) -> tuple[FileCertificate, ...]:
        """Files that were compared over nothing."""
        return tuple(file for file in self.certificate.files if file.status is Status.NOT_SHOWN)

    @property
    def short(self) -> tuple[FileCertificate, ...]:
        """Requested files that could not be written or run here."""
        return tuple(f for f in self.certificate.files if f.status in (Status.NOT_MADE, Status.NOT_RUN))


def export_version(client: MlflowClient, request: ExportRequest, on_step: OnStep) -> Exported:
    """Write, compare and time every requested file; log the certificate; publish the bundle.

    on_step: called with a description of the next step. The certificate is logged to the run's folder
    `export/` and the parities to the version's tag before the bundle appears. Raises UserError (invalid
    version, data or path), GateRefused (altered files), ServerUnavailable.
    """
    with opened(client, request.given) as version, bundle_folder.workplace(request.out) as work:
        on_step(f"reading the data of {version.name}")
        dataset = open_data(version.run, version.tags, request.data, request.class_map, request.cache)
        held = answered_by(held_out(dataset, request.pictures), version.preprocessing)
        with trained_network(client, version, request.cache) as (network, no_network):
            source = Original(
                name=version.name,
                onnx=version.onnx,
                preprocessing=version.preprocessing,
                network=network,
                no_network=no_network,
                calibration=partial(calibration, dataset, version.preprocessing, request.calibrate),
                calibrates=min(request.calibrate, len(dataset.splits["train"])),
            )
            on_step(f"running the original on {len(held)} images")
            own = answers_of(format_named("onnx").open(source.onnx), source.preprocessing, held)
            original = own if source.network is None else _of_network(source, held)
            yardstick = Yardstick(
                held, original, request.calls, registered=None if source.network is None else own
            )
            files = tuple(_certified(request, source, work, yardstick, on_step))
        certificate = certificate_of(version, dataset, held, files, no_network)
        kept = any(file.path for file in files)
        digest = write_papers(work, version, certificate, held) if kept else ""
        on_step("logging the certificate")
        log(client, version, certificate, work if kept else None)
        if kept:
            bundle_folder.publish(work, request.out)
    return Exported(str(request.out) if kept else "", digest, version.run.info.run_id, certificate)


def _of_network(source: Original, held: HeldOutImages) -> ModelOutputs:
    from registry.export.formats.torch_source import torch_session

    return answers_of(torch_session(source.network, source.side), source.preprocessing, held)


def _certified(
    request: ExportRequest, source: Original, work: Path, yardstick: Yardstick, on_step: OnStep
) -> Iterator[FileCertificate]:
    """One certificate per format and precision."""
    for name in request.formats:
        kind = format_named(name)
        precisions = [each for each in request.precisions if each in kind.precisions]
        if not precisions:
            written = ", ".join(kind.precisions)
            asked = ", ".join(request.precisions)
            yield not_made(name, request.precisions[0], f"{name} supports {written}, not {asked}")
        for precision in precisions:
            on_step(f"{name} {precision}")
            yield certify(kind, source, precision, work, yardstick)
