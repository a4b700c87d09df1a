"""`mlops export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops.cli.output import json_option, show
from mlops.cli.parameters import MOST_CALLS
from mlops.errors import BadSetting, GateRefused, MlopsError, NotShown, UserError
from mlops.terminal.messages import note
from mlops.terminal.tables import aligned

if TYPE_CHECKING:
    from registry.export.bundle.bundle_folder import VerifiedBundle
    from registry.export.export import Exported
    from registry.export.proof.certificate import FileCertificate


@click.command()
@click.argument("version", metavar="MODEL[/VERSION|@ALIAS]", default="")
@click.option(
    "--format",
    "formats",
    default="onnx",
    show_default=True,
    help="Comma-separated: onnx, torchscript, openvino, coreml, tensorrt.",
)
@click.option(
    "--precision",
    "precisions",
    default="fp32",
    show_default=True,
    help="Comma-separated: fp32, fp16, int8; each applies to the formats that support it.",
)
@click.option(
    "--out", metavar="DIR", default="", help="Folder of the bundle.  [default: export/MODEL-VERSION]"
)
@click.option("--data", multiple=True, help="Data of the version, if moved since training (repeatable).")
@click.option(
    "--class-map", default="", metavar="FILE", help="Class map of --data.  [default: as in training]"
)
@click.option(
    "--pictures",
    default=1000,
    show_default=True,
    type=click.IntRange(1, MOST_CALLS),
    help="Maximum number of held-out images to compare on.",
)
@click.option(
    "--calibrate",
    default=200,
    show_default=True,
    type=click.IntRange(8, MOST_CALLS),
    help="Maximum number of training images to calibrate int8 on.",
)
@click.option(
    "--calls",
    default=100,
    show_default=True,
    type=click.IntRange(5, MOST_CALLS),
    help="Inference calls to time.",
)
@click.option(
    "--verify", "bundle", metavar="DIR", default="", help="Verify the digests of a bundle; export nothing."
)
@click.option(
    "--isolated",
    is_flag=True,
    help="With --verify: also run predict.py in a new environment with onnxruntime, pillow and numpy.",
)
@json_option
def export(
    version: str,
    formats: str,
    precisions: str,
    out: str,
    data: tuple[str, ...],
    class_map: str,
    pictures: int,
    calibrate: int,
    calls: int,
    bundle: str,
    isolated: bool,
    as_json: bool,
) -> None:
    """Export a version for deployment: model files, certificate, manifest, predict.py.

    Each file is compared with the original on held-out images of the version's data, timed and hashed. MODEL
    without a version is the newest version.

    Exit status: 0 if every requested file was written and passed; 3 if a file differs from the original, or
    if there was nothing to compare (no box on any image), so that it is not added to the bundle; 1 if a file
    cannot be written or run here. --verify exits with status 3 if a file of the bundle was changed, added or
    removed.

    \b
    Examples:
      mlops export blood-cell-classifier@production --format onnx,openvino --out bundle
      mlops export railway-detector/3 --precision fp32,fp16,int8
      mlops export --verify bundle --isolated
    """
    if bundle:
        _verify(Path(bundle), isolated, as_json)
        return
    if isolated:
        raise BadSetting("export", "--isolated", "alone", "together with --verify DIR")
    if not version:
        raise click.UsageError("give MODEL/VERSION or MODEL@ALIAS, or --verify DIR")
    from registry.export.formats.format_names import formats_asked, precisions_asked

    asked = formats_asked(formats), precisions_asked(precisions)
    from mlops.cli.train import split_parts
    from mlops.files.home import open_home
    from mlops.store.client import connect
    from registry.export.export import ExportRequest, export_version
    from registry.export.exported_version import bundle_folder

    client = connect()
    request = ExportRequest(
        given=version,
        formats=asked[0],
        precisions=asked[1],
        out=Path(out) if out else bundle_folder(client, version),
        data=split_parts(data),
        class_map=Path(class_map) if class_map else None,
        cache=open_home() / "cache",
        pictures=pictures,
        calibrate=calibrate,
        calls=calls,
    )
    told = sys.stderr.isatty()
    found = export_version(client, request, lambda step: note(f"  {step} ...") if told else None)
    show(found, as_json, _as_text(found))
    if found.failed:
        raise GateRefused(
            f"{found.certificate.of}: differ from the original, not in the bundle: {_names(found.failed)}"
        )
    if found.not_shown:
        raise NotShown(
            f"{found.certificate.of}: equality with the original is not shown, not in the bundle: "
            f"{_names(found.not_shown)} ({found.not_shown[0].reason})"
        )
    if found.short:
        raise MlopsError(f"{found.certificate.of}: could not be written or run here: {_names(found.short)}")


def _verify(bundle: Path, isolated: bool, as_json: bool) -> None:
    from mlops.files.regular_files import refuse_odd
    from registry.export.bundle.bundle_folder import read_manifest, verify

    for file in bundle.rglob("*"):
        refuse_odd(file, "--verify")
    try:
        found = verify(bundle)
    except RecursionError as error:
        raise UserError(f"{bundle}: the manifest is nested too deeply to be read") from error
    show(found, as_json, _verified_text(found))
    if not found.well:
        raise GateRefused(f"{bundle} was changed after the export: {found.faults[0]}{_more(found.faults)}")
    if isolated:
        from registry.export.bundle.isolated import run_isolated

        said = run_isolated(bundle, read_manifest(bundle))
        if not as_json:
            click.echo(
                f"Output of predict.py for its check image, with onnxruntime, pillow and numpy only:\n{said}"
            )


def _as_text(found: Exported) -> str:
    c = found.certificate
    head = ("format", "precision", "result", "agreement", "difference", "cost", "p50", "p95", "size")
    rows: list[tuple[str, ...]] = [head, *(_row(file) for file in c.files)]
    lines = [
        f"{c.of}, compared with {c.original} on {c.pictures} images of its {c.split} split",
        "",
        aligned(rows),
        *(f"  {file.format} {file.precision}: {file.reason}" for file in c.files if file.reason),
        "",
    ]
    if found.bundle:
        lines += [f"bundle {found.bundle}", f"  SHA-256 of all files {found.digest}"]
        lines.append(f"  Verify it: mlops export --verify {found.bundle}")
    lines.append(f"certificate on run {found.run_id}, folder export/")
    return "\n".join(lines)


def _row(file: FileCertificate) -> tuple[str, ...]:
    parity, speed = file.parity, file.speed
    return (
        file.format,
        file.precision,
        file.status.value,
        f"{parity.agreement:.2%}" if parity else "-",
        f"{parity.difference:.2g}" if parity else "-",
        f"{parity.cost:+.4f} {parity.judged_by}" if parity else "-",
        f"{speed.p50_ms:.2f} ms" if speed else "-",
        f"{speed.p95_ms:.2f} ms" if speed else "-",
        f"{file.size_bytes / 1e6:.2f} MB" if file.size_bytes else "-",
    )


def _verified_text(found: VerifiedBundle) -> str:
    if not found.well:
        return "\n".join(found.faults)
    return (
        f"{found.bundle}: {found.model}/{found.version}, {found.files} files unchanged\n"
        f"  SHA-256 of all files {found.digest}"
    )


def _names(files: tuple[FileCertificate, ...]) -> str:
    return ", ".join(file.key for file in files)


def _more(faults: tuple[str, ...]) -> str:
    return f" and {len(faults) - 1} more" if len(faults) > 1 else ""
