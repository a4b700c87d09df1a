"""Small inputs with large effects are refused: one line, exit status 2, within 10 s and 1 GB of memory."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.command import Shell
from tests.data.sets import class_folders, coco, labelimg_voc, npz, table, table_of_boxes, yolo

SECONDS, BYTES, PATIENCE_S = 10.0, 10**9, 90
CANARY = "canary-7f3a91"  # stands in files that a link leads to; no message may print it
SECRET = f"user {CANARY} 1 2 3\n{CANARY}: {CANARY}\n"
HUGE = str(10**30)

Make = Callable[[Path], object]


@dataclass(frozen=True)
class Hostile:
    """make: writes the input into the working directory. says: words of the one line.

    long: another way of what a row above already does.
    """

    name: str
    make: Make
    command: str
    says: str
    environment: tuple[tuple[str, str], ...] = ()
    long: bool = False


@dataclass(frozen=True)
class Measured:
    status: int
    out: str
    err: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(shell: Shell, *arguments: str | bytes, **environment: str) -> Measured:
    """Run `mlops`, with its own peak of memory.

    The limit is on the processor's time, as other tests run beside; what waits is killed after `PATIENCE_S`.
    """
    began = time.monotonic()
    with (shell.folder / ".out").open("w+") as out, (shell.folder / ".err").open("w+") as err:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mlops", *arguments],
            cwd=shell.folder,
            env=shell.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (40, 40)),
        )
        signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(PATIENCE_S)
        _, status, usage = os.wait4(process.pid, 0)
        signal.alarm(0)
        process.returncode = os.waitstatus_to_exitcode(status)
    texts = [(shell.folder / name).read_bytes().decode() for name in (".out", ".err")]  # valid UTF-8, always
    seconds = time.monotonic() - began
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Measured(process.returncode, *texts, seconds, cpu_seconds, usage.ru_maxrss * 1024)


def refused(done: Measured, says: str) -> None:
    told = done.out + done.err
    assert "Traceback" not in told, told
    assert CANARY not in told
    assert done.status == 2, f"{done.status}\n{told}"
    lines = done.err.splitlines()
    if done.out:  # `mlops data check` lists faults as its result
        assert lines == []
    else:
        assert len(lines) == 1 and lines[0].startswith("mlops: "), lines
    assert says in told, told
    assert max(map(len, told.splitlines())) < 4100
    assert done.cpu_seconds < SECONDS
    assert done.peak_bytes < BYTES


# ------------------------------------------------------------------------------------------ text documents


def write(name: str, text: str | bytes) -> Make:
    def made(folder: Path) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    return made


def alias_bomb(head: str = "") -> str:
    levels = "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    return f"{head}a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{levels}"


def merge_bomb() -> str:
    levels = "".join(f"a{i}: &a{i}\n  <<: [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    return "a0: &a0 {x: 1}\n" + levels


YAML_BOMBS = {
    "aliases": (alias_bomb(), "more than 100,000 values"),
    "merged keys": (merge_bomb(), "more than 100,000 values"),
    "long text by aliases": (f"a: &a {'x' * 500_000}\nb: [{','.join(['*a'] * 100)}]\n", "more than 100,000"),
    "an alias in its own anchor": ("a: &a [*a]\n", "inside its own anchor"),
    "a million digits": ("a: " + "9" * 900_000, "a number of 900,000 characters"),
    "a number in base 60": ("a: 1" + ":59" * 300_000, "a number of 900,001 characters"),
    "a hexadecimal number": ("a: 0x" + "f" * 900_000, "a number of 900,002 characters"),
    "100,000 levels": ("[" * 100_000, "nested too deeply"),
    "many values": ("- a\n" * 250_000, "more than 100,000 values"),
    "5 MB": ("#" * 5_000_000, "at most 1,048,576"),
    "no text": (b"\0" * 1000, "NUL bytes"),
    "a key that is a list": ("{[1]: 2}", "unhashable"),
    "an object of Python": ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
}
YAML_COMMANDS = {
    "policy": ("registry status", "p.yaml", "registry verify m --policy p.yaml"),
    "system": ("systems", "p.yaml", "systems p.yaml"),
    "data.yaml": ("data", "set/data.yaml", "data check set"),
    "class map": ("train", "p.yaml", "train --data set --class-map p.yaml"),
    "network": ("train", "p.yaml", "train railway-detector --set model=p.yaml --set weights=none"),
    "args.yaml": ("import", "run/args.yaml", "import-run run"),
}
TEXTS = [
    Hostile(
        f"{where}, {bomb}", write(file, text), command, says, long=where != "policy" and bomb != "aliases"
    )
    for where, (_, file, command) in YAML_COMMANDS.items()
    for bomb, (text, says) in YAML_BOMBS.items()
    if where == "policy" or bomb in ("aliases", "a million digits", "100,000 levels", "no text")
]


def sparse(name: str) -> Make:
    def made(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            file.truncate(5 * 10**9)

    return made


def special(name: str, kind: str) -> Make:
    def made(folder: Path) -> None:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "socket":
            there = Path.cwd()
            os.chdir(place.parent)  # a socket's path has at most 108 bytes
            socket.socket(socket.AF_UNIX).bind(place.name)
            os.chdir(there)
        elif kind == "folder":
            place.mkdir()
        else:
            place.symlink_to(kind)

    return made


def both(*makes: Make) -> Make:
    def made(folder: Path) -> None:
        for make in makes:
            make(folder)

    return made


def a_yolo_set(folder: Path) -> None:
    yolo(folder / "set")


SPECIAL = [
    Hostile(
        "a policy that is a pipe",
        special("p.yaml", "pipe"),
        "registry verify m --policy p.yaml",
        "a named pipe",
    ),
    Hostile(
        "a policy that never ends",
        special("p.yaml", "/dev/zero"),
        "registry verify m --policy p.yaml",
        "links to",
    ),
    Hostile("a policy of 5 GB", sparse("p.yaml"), "registry verify m --policy p.yaml", "5,000,000,000 bytes"),
    Hostile(
        "a policy that is a folder",
        special("p.yaml", "folder"),
        "registry verify m --policy p.yaml",
        "a folder",
    ),
    Hostile("a system that is a pipe", special("s.yaml", "pipe"), "systems s.yaml", "a named pipe"),
    Hostile("a system that is a socket", special("s.yaml", "socket"), "systems s.yaml", "a socket"),
    Hostile("a system of 5 GB", sparse("s.yaml"), "train s.yaml", "5,000,000,000 bytes"),
    Hostile("data that are a pipe", special("d.yaml", "pipe"), "data check d.yaml", "a named pipe"),
    Hostile("data that are a device", special("x", "pipe"), "data check /dev/zero", "a device"),
    Hostile("data from standard input", special("x", "pipe"), "data check /dev/stdin", "a device"),
    Hostile("data to train on from a pipe", special("d.csv", "pipe"), "train --data d.csv", "a named pipe"),
    Hostile(
        "a class map that is a pipe", special("m.yaml", "pipe"), "train --class-map m.yaml", "a named pipe"
    ),
    Hostile("weights that are a pipe", special("w.pt", "pipe"), "train --set weights=w.pt", "a named pipe"),
    Hostile(
        "a network that is a pipe", special("n.yaml", "pipe"), "train --set model=n.yaml", "a named pipe"
    ),
    Hostile(
        "an output that is a pipe",
        both(a_yolo_set, special("o", "pipe")),
        "data convert set --to yolo --out o",
        "a named pipe",
    ),
    Hostile("a run that is a pipe", special("r", "pipe"), "import-run r", "a named pipe"),
    Hostile("a history that is a pipe", special("h.json", "pipe"), "import-run h.json", "a named pipe"),
    Hostile("a table of 5 GB", sparse("run/results.csv"), "import-run run", "5,000,000,000 bytes"),
    Hostile(
        "an image that is a pipe",
        both(a_yolo_set, special("set/images/train/train0.jpg", "pipe")),
        "data check set",
        "a named pipe",
    ),
    Hostile(
        "an image that is a pipe, in training",
        both(a_yolo_set, special("set/images/train/train0.jpg", "pipe")),
        "train railway-detector --data set --set weights=none",
        "a named pipe",
    ),
    Hostile(
        "an image that is a pipe, converted",
        both(a_yolo_set, special("set/images/train/train0.jpg", "pipe")),
        "data convert set --to yolo --out o",
        "a named pipe",
    ),
    Hostile(
        "an image that is a socket",
        both(a_yolo_set, special("set/images/train/train0.jpg", "socket")),
        "data check set",
        "a socket",
    ),
    Hostile(
        "an image that is a device",
        both(a_yolo_set, special("set/images/train/train0.jpg", "/dev/zero")),
        "data check set",
        "a device",
    ),
    Hostile(
        "an image of 5 GB",
        both(a_yolo_set, sparse("set/images/train/train0.jpg")),
        "data check set",
        "larger than",
    ),
    Hostile(
        "labels that are a pipe",
        both(a_yolo_set, special("set/labels/train/train0.txt", "pipe")),
        "data check set",
        "a named pipe",
    ),
    Hostile(
        "labels that are a folder",
        both(a_yolo_set, special("set/labels/train/train0.txt", "folder")),
        "data check set",
        "a folder",
    ),
    Hostile(
        "labels of 5 GB",
        both(a_yolo_set, sparse("set/labels/train/train0.txt")),
        "data check set",
        "5,000,000,000 bytes",
    ),
    Hostile(
        "an annotation that is a pipe",
        both(lambda f: labelimg_voc(f / "set"), special("set/patient00_000.xml", "pipe")),
        "data check set",
        "a named pipe",
    ),
    Hostile(
        "COCO that is a pipe",
        both(lambda f: coco(f / "set"), special("set/coco.json", "pipe")),
        "data check set",
        "at least two",
    ),
    Hostile(
        "the mark of demo data as a pipe",
        both(
            a_yolo_set,
            special("set/demo.json", "pipe"),
            write("set/labels/train/train0.txt", "7 .5 .5 .5 .5"),
        ),
        "train railway-detector --data set",
        "class 7",
    ),
]


def coco_with(**changed: object) -> Make:
    """A COCO set whose first image or annotation is changed: `image_file_name`, `annotation_bbox`."""

    def made(folder: Path) -> None:
        file = coco(folder / "set") / "coco.json"
        held = json.loads(file.read_text())
        for name, value in changed.items():
            part, _, key = name.partition("_")
            held[{"image": "images", "annotation": "annotations", "category": "categories"}[part]][0][key] = (
                value
            )
        file.write_text(json.dumps(held))

    return made


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


JSON = [
    Hostile(
        "JSON of 100,000 levels", write("h.json", "[" * 100_000), "import-run h.json", "nested too deeply"
    ),
    Hostile(
        "JSON of 900 levels", write("h.json", '{"a":' * 900 + "1" + "}" * 900), "import-run h.json", "nested"
    ),
    Hostile(
        "JSON of a hundred thousand digits",
        write("h.json", "1" * 100_000),
        "import-run h.json",
        "not valid JSON",
    ),
    Hostile(
        "JSON with half a character",
        write("h.json", '{"loss\\ud800": [1]}'),
        "import-run h.json",
        "half a char",
    ),
    Hostile(
        "a history up to epoch 10^30",
        write("h.json", f'[{{"epoch": {HUGE}, "loss": 1}}]'),
        "import-run h.json",
        "not a whole number",
    ),
    Hostile(
        "a history of a billion years",
        write("h.json", '{"history": {"loss": [1]}, "started": 1e300}'),
        "import-run h.json",
        "not a time",
    ),
    Hostile(
        "a table up to epoch 10^30",
        write("run/results.csv", f"epoch,time,loss\n{HUGE},1,1\n1,2,1\n"),
        "import-run run",
        "not a whole number",
    ),
    Hostile(
        "a table of 10^300 seconds",
        write("run/results.csv", "epoch,time,loss\n1,1e300,1\n2,1,1\n"),
        "import-run run",
        "a hundred years",
    ),
    Hostile(
        "COCO of 100,000 levels", write("c.json", "[" * 100_000), "data check c.json", "nested too deeply"
    ),
    Hostile(
        "COCO of 8 million objects",
        write("c.json", "[" + "{}," * 8_000_000 + "{}]"),
        "data check c.json",
        "too many to read",
    ),
    Hostile("a box of 40 levels", coco_with(annotation_bbox=nested(40)), "data check set", "bbox is [["),
    Hostile("a box of 10^300", coco_with(annotation_bbox=[1e300, 1, 10**290, 1]), "data check set", "bbox"),
    Hostile(
        "a box of NaN", coco_with(annotation_bbox=[float("nan"), 1, 2, 3]), "data check set", "finite numbers"
    ),
    Hostile(
        "a box of 4000 digits",
        coco_with(annotation_bbox=[10**4000, 1, 2, 3]),
        "data check set",
        "a whole number of 13288 bits",
    ),
    Hostile(
        "a category of 10^30",
        coco_with(annotation_category_id=10**30),
        "data check set",
        "category_id",
    ),
    Hostile(
        "a category that is a list",
        coco_with(annotation_category_id=[1]),
        "data check set",
        "not a COCO file",
    ),
    Hostile(
        "a class with half a character",
        coco_with(category_name="\ud800"),
        "data check set",
        "half a character",
    ),
    Hostile(
        "a class of 10,000 characters",
        coco_with(category_name="a" * 10_000),
        "data check set",
        "10,000 characters",
    ),
    Hostile(
        "an image name with half a character",
        coco_with(image_file_name="\udcff.png"),
        "data check set",
        "half a character",
    ),
    Hostile(
        "an image name of 10,000 characters",
        coco_with(image_file_name="a" * 10_000 + ".png"),
        "data check set",
        "does not exist",
    ),
    Hostile(
        "an image name with a NUL", coco_with(image_file_name="a\0b.png"), "data check set", "does not exist"
    ),
    Hostile(
        "an image that is a number", coco_with(image_file_name=10**30), "data check set", "does not exist"
    ),
]


def entity_bomb() -> str:
    names = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY a0 "{CANARY}">{names}]><annotation>&a9;</annotation>'


def voc_xml(text: str) -> Make:
    return both(lambda folder: labelimg_voc(folder / "set"), write("set/patient00_000.xml", text))


def labels(text: str) -> Make:
    return both(a_yolo_set, write("set/labels/train/train0.txt", text))


TABLES = [
    Hostile("entities that grow", voc_xml(entity_bomb()), "data check set", "unsafe construct"),
    Hostile(
        "an entity of another file",
        voc_xml('<!DOCTYPE x [<!ENTITY e SYSTEM "/etc/hostname">]><a>&e;</a>'),
        "data check set",
        "unsafe construct",
    ),
    Hostile("XML of a million levels", voc_xml("<a>" * 1_000_000), "data check set", "not valid XML"),
    Hostile(
        "a corner of 10^400",
        voc_xml(
            "<a><size><width>60</width><height>40</height></size><object><name>cat"
            "</name><bndbox><xmin>1e400</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object></a>"
        ),
        "data check set",
        "NaN or infinite",
    ),
    Hostile("a class number of 2^40", labels("1099511627776 .5 .5 .1 .1\n"), "data check set", "is unknown"),
    Hostile("a class number of 10^300", labels("1e300 .5 .5 .1 .1\n"), "data check set", "is unknown"),
    Hostile("a coordinate of NaN", labels("0 nan .5 .1 .1\n"), "data check set", "NaN or infinite"),
    Hostile("a row of 10 MB", labels("x" * 10_000_000), "data check set", "1 columns"),
    Hostile("7 million bad rows", labels("x\n" * 7_000_000), "data check set", "more than 20,000 faults"),
    Hostile("an outline of a million points", labels("0" + " 2" * 1_000_001), "data check set", "columns"),
    Hostile(
        "a billion classes",
        write("set/data.yaml", "train: images\nnc: 1000000000000\n"),
        "data check set",
        "expected 1 to 100,000",
    ),
    Hostile(
        "a class number of 10^12",
        both(
            a_yolo_set,
            write("set/data.yaml", "train: images/train\nval: images/val\nnames: {0: a, 1000000000000: b}\n"),
        ),
        "data check set",
        "without gaps",
    ),
    Hostile(
        "a split of 10,000 characters",
        both(a_yolo_set, write("set/data.yaml", f"train: {'a/' * 5000}\nnames: [a]\n")),
        "data check set",
        "does not exist",
    ),
    Hostile(
        "a class name of 10,000 characters",
        both(
            a_yolo_set,
            write("set/data.yaml", f"train: images/train\nval: images/val\nnames: [{'a' * 10_000}, b]\n"),
        ),
        "data check set",
        "10,000 characters",
    ),
    Hostile(
        "a cell of a million characters",
        write("t.csv", f"image,label\n{'a' * 1_000_000},1\n"),
        "data check t.csv",
        "field larger than field limit",
    ),
    Hostile("a table with a NUL", write("t.csv", "image,label\n\0,1\n"), "data check t.csv", "NUL bytes"),
    Hostile(
        "2 million bad rows",
        write("t.csv", "image,label\n" + "".join(f"{i}\n" for i in range(2_000_000))),
        "data check t.csv",
        "more than 20,000 faults",
    ),
    Hostile(
        "12 million equal rows",
        write("t.csv", "image,label\n" + "a\n" * 12_000_000),
        "data check t.csv",
        "more than 2,000,000 rows",
    ),
    Hostile(
        "a label of thousands of digits",
        lambda f: table(f / "set", ["a.jpg," + "9" * 5000, "b.jpg,2"]),
        "data check set",
        "5,000 characters",
    ),
    Hostile(
        "a corner of 10^30",
        both(
            lambda f: table_of_boxes(f / "set"),
            write("set/boxes.csv", f"image,label,x1,y1,x2,y2\npatient00_000.png,a,1,1,{HUGE},2\n"),
        ),
        "data convert set --to yolo --out o",
        "is outside",
    ),
]


# ------------------------------------------------------------------------------------------------ images


def png_head(width: int, height: int, *chunks: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = zlib.compressobj(1)
    line = b"\0" * (width + 1)
    body = b"".join([*(pixels.compress(line) for _ in range(min(height, 100))), pixels.flush()])
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    body = b"k\0\0" + zlib.compress(b"x" * 300_000_000, 9)
    return struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))


def profile_bomb() -> bytes:
    body = b"k\0\0" + zlib.compress(b"x" * 300_000_000, 9)
    return struct.pack(">I", len(body)) + b"iCCP" + body + struct.pack(">I", zlib.crc32(b"iCCP" + body))


def tiff_head(width: int, height: int) -> bytes:
    entries = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, 9),
    ]
    body = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, v) for tag, v in entries
    )
    return b"II*\0" + struct.pack("<I", 8) + body + b"\0" * 64


def gif_head(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x02\x02D\x01\x00;"
    )


def bmp_head(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
    )


def eps(folder: Path) -> bytes:
    return (
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({folder}/{CANARY}) (w) file\n%%EOF\n"
    ).encode()


SIDE = 31_623  # 10^9 pixels
IMAGES = {
    "PNG": (png_head(SIDE, SIDE), "pixels"),
    "wide PNG": (png_head(2**31 - 1, 1), "pixels"),
    "TIFF": (tiff_head(SIDE, SIDE), "pixels"),
    "GIF": (gif_head(65_535, 65_535), "pixels"),
    "BMP": (bmp_head(SIDE, SIDE), "pixels"),
    "PGM": (f"P5 {SIDE} {SIDE} 255\n".encode(), "pixels"),
    "PostScript": (eps(Path("x")), "cannot identify"),
    "text of 300 MB": (png_head(60, 40, text_bomb()), "cannot be read"),
}
WAYS = {
    "checked": (a_yolo_set, "images/train/train0.jpg", "data check set"),
    "trained by OpenCV": (a_yolo_set, "images/train/train0.jpg", "train railway-detector --data set"),
    "trained by Pillow": (lambda f: class_folders(f / "set"), "train/cat/0.jpg", "train --data set"),
    "converted": (a_yolo_set, "images/train/train0.jpg", "data convert set --to imagefolder --out o"),
}
PICTURES = [
    Hostile(
        f"10^9 pixels, {kind}, {way}",
        both(make, write(f"set/{file}", content)),
        command,
        says,
        long=way != "checked" and kind != "PNG",
    )
    for kind, (content, says) in IMAGES.items()
    for way, (make, file, command) in WAYS.items()
    if way == "checked" or (kind in ("PNG", "TIFF", "GIF") and "cannot" not in says)
]
DECODERS = [
    Hostile(
        "an image that needs a decoder, named by COCO",
        both(
            coco_with(image_file_name="a.heic"),
            write("set/images/a.heic", b"\0\0\0\x18ftypheic" + b"\0" * 100),
        ),
        "train railway-detector --data set",
        "pip install pi_heif",
    ),
    Hostile(
        "images that need a decoder, beside a mistake",
        both(
            labels("7 .5 .5 .1 .1"),
            write("set/images/train/a.heic", b"x"),
            write("set/images/train/b.heic", b"x"),
        ),
        "data check set",
        "2 HEIF images need pi_heif, which is not installed: pip install pi_heif",
    ),
]


# ---------------------------------------------------------------------------------------------- archives


def npz_with(**arrays: object) -> Make:
    return lambda folder: npz(folder / "cells.npz", **arrays)


def member(name: str, content: bytes, *, times: int = 1) -> Make:
    """cells.npz with one more member: `content` repeated, compressed."""

    def made(folder: Path) -> None:
        npz(folder / "cells.npz", **{name.removesuffix(".npy"): None})
        with (
            zipfile.ZipFile(folder / "cells.npz", "a", zipfile.ZIP_DEFLATED) as archive,
            archive.open(name, "w", force_zip64=True) as out,
        ):
            for _ in range(times):
                out.write(content)

    return made


def npy_head(shape: str, descr: str = "'|u1'") -> bytes:
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def many_members(folder: Path) -> None:
    with zipfile.ZipFile(folder / "cells.npz", "w") as archive:
        for number in range(70_000):
            archive.writestr(f"{number}_images.npy", b"")


def overlapping(folder: Path) -> None:
    """A member that declares 2^40 bytes."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", npy_head("(1000000, 1000, 1000)") + b"\0" * 1000)
    (folder / "cells.npz").write_bytes(held.getvalue())


def nested_zip(folder: Path) -> None:
    inner = b"\0" * 10_000_000
    for _ in range(3):
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(20):
                archive.writestr(
                    f"train_images{number}.npy" if len(inner) > 10**6 else f"{number}.zip", inner
                )
            archive.writestr("train_images.npy", inner)
        inner = held.getvalue()
    (folder / "cells.npz").write_bytes(inner)


CHECK_NPZ = "data check cells.npz"


def many_categories(folder: Path) -> None:
    """1 MB in which each image meets each category."""
    file = coco(folder / "set") / "coco.json"
    held = json.loads(file.read_text())
    held["categories"] += [{"id": i, "name": f"c{i}"} for i in range(10, 20_000)]
    held["images"] += [held["images"][0] | {"id": i} for i in range(100, 10_000)]
    held["annotations"][0]["bbox"] = None
    file.write_text(json.dumps(held))


ARCHIVES = [
    Hostile(
        "images of one pixel",
        npz_with(train_images=np.zeros((6, 1, 1), np.uint8)),
        "data check cells.npz",
        "8 pixels a side",
    ),
    Hostile(
        "a billion empty texts",
        member("classes.npy", npy_head("(1000000000,)", "'<U0'")),
        "data check cells.npz",
        "declares",
    ),
    Hostile(
        "20,000 categories and 10,000 images", many_categories, "data check set/coco.json", "bbox is None"
    ),
    Hostile(
        "a label of 2^40", npz_with(train_labels=np.array([0, 1, 2, 3, 4, 2**40])), CHECK_NPZ, "1099511627776"
    ),
    Hostile(
        "a label of 2^40, trained",
        npz_with(train_labels=np.array([0, 1, 2, 3, 4, 2**40])),
        "train --data cells.npz",
        "1099511627776",
    ),
    Hostile(
        "a label of 2^64 - 1",
        npz_with(train_labels=np.array([0, 1, 2, 3, 4, 2**64 - 1], np.uint64)),
        CHECK_NPZ,
        "18446744073709551615",
    ),
    Hostile(
        "a label below 0",
        npz_with(train_labels=np.array([0, 1, 2, 3, 4, -1])),
        CHECK_NPZ,
        "expected 0 or more",
    ),
    Hostile("labels of NaN", npz_with(train_labels=np.full(6, np.nan)), CHECK_NPZ, "one integer per image"),
    Hostile(
        "labels that are objects",
        npz_with(train_labels=np.array([0, 1, 2, 3, 4, "x"], object)),
        CHECK_NPZ,
        "Python objects",
    ),
    Hostile(
        "a class name of 10,000 characters",
        npz_with(classes=np.array(["a" * 10_000, "b", "c"])),
        CHECK_NPZ,
        "10,000 characters",
    ),
    Hostile("a shape of 10^12", overlapping, CHECK_NPZ, "declares an array"),
    Hostile(
        "a shape of 10^300", member("train_images.npy", npy_head(f"({10**300}, 1)")), CHECK_NPZ, "declares"
    ),
    Hostile(
        "a shape below 0",
        member("train_images.npy", npy_head("(-1, -1, 5)") + b"\0" * 99),
        CHECK_NPZ,
        "not an npz",
    ),
    Hostile(
        "a type of 10^9 bytes",
        member("train_images.npy", npy_head("(3,)", "'|S999999999'")),
        CHECK_NPZ,
        "declares",
    ),
    Hostile(
        "a header that is code",
        member("train_images.npy", npy_head("(3,)", "__import__('os')")),
        CHECK_NPZ,
        "not an npz",
    ),
    Hostile(
        "zeros, a thousand to one",
        member("train_images.npy", npy_head("(1,)") + b"\0" * 2**20, times=200),
        CHECK_NPZ,
        "too many to read",
    ),
    Hostile("archives in an archive", nested_zip, CHECK_NPZ, "not an npz"),
    Hostile("70,000 members", many_members, CHECK_NPZ, "70,000 arrays"),
    Hostile("no archive", write("cells.npz", b"PK\x03\x04" + b"\0" * 100), CHECK_NPZ, "not an npz"),
    Hostile("an archive of 5 GB", sparse("cells.npz"), CHECK_NPZ, "not an npz"),
]


# ------------------------------------------------------------------------------------------ paths and links


def secret(name: str) -> Make:
    """A file of someone else, outside the data set."""
    return write(f"elsewhere/{name}", SECRET)


def link(name: str, target: str) -> Make:
    def made(folder: Path) -> None:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target if target.startswith("/") else folder / target)

    return made


def listed(line: str) -> Make:
    return both(
        a_yolo_set,
        write("set/train.txt", f"{line}\n"),
        write("set/data.yaml", "train: train.txt\nval: images/val\nnames: [cat, dog]\n"),
    )


LEAVING = (
    "/etc/hostname",
    "../elsewhere/key",
    "/proc/self/environ",
    "../elsewhere/key.png",
    "/dev/zero",
    "..\\x",
)
PATHS = [
    *(
        Hostile(
            f"{kind} names {path}",
            both(secret("key"), secret("key.png"), make(path)),
            command,
            says,
            long=i > 1,
        )
        for i, path in enumerate(LEAVING)
        for kind, make, command, says in (
            ("COCO", lambda path: coco_with(image_file_name=path), "data check set", "is not an image"),
            ("a list", listed, "data check set", "is not an image"),
            (
                "a table",
                lambda path: both(
                    lambda f: table(f / "set", ["a.jpg,1", "b.jpg,2"]),
                    write("set/labels.csv", f"image,label\n{path},1\nb.jpg,2\n"),
                ),
                "data check set",
                "is missing",
            ),
        )
    ),
    Hostile(
        "labels behind a link to a folder",
        both(
            a_yolo_set,
            lambda f: (f / "set/labels").rename(f / "elsewhere"),
            write("elsewhere/train/train0.txt", SECRET),
            link("set/labels", "elsewhere"),
        ),
        "data check set",
        "columns",
    ),
    Hostile(
        "a coordinate behind a link to a folder",
        both(
            a_yolo_set,
            lambda f: (f / "set/labels").rename(f / "elsewhere"),
            write("elsewhere/train/train0.txt", f"0 {CANARY} 1 1 1\n"),
            link("set/labels", "elsewhere"),
        ),
        "data check set",
        "is not a number",
    ),
    Hostile(
        "an image that links to a secret",
        both(a_yolo_set, secret("key"), link("set/images/train/train0.jpg", "elsewhere/key")),
        "data check set",
        "which is not an image",
    ),
    Hostile(
        "an image that links to a secret, trained",
        both(a_yolo_set, secret("key"), link("set/images/train/train0.jpg", "elsewhere/key")),
        "train railway-detector --data set",
        "which is not an image",
    ),
    Hostile(
        "an image that links to a secret, converted",
        both(a_yolo_set, secret("key"), link("set/images/train/train0.jpg", "elsewhere/key")),
        "data convert set --to yolo --out o",
        "which is not an image",
    ),
    *(
        Hostile(
            f"{name} that links to {target}",
            both(make, secret(target), link(name, f"elsewhere/{target}")),
            command,
            says,
        )
        for name, make, command, says_key, says_same in (
            ("set/labels/train/train0.txt", a_yolo_set, "data check set", "links to", "columns"),
            ("set/data.yaml", a_yolo_set, "data check set", "links to", "not printed"),
            ("set/labels.csv", lambda f: table(f / "set", ["a.jpg,1", "b.jpg,2"]), "data check set", "", ""),
            ("set/coco.json", lambda f: coco(f / "set"), "data check set", "", ""),
            ("set/patient00_000.xml", lambda f: labelimg_voc(f / "set"), "data check set", "links to", "XML"),
            (
                "set/classes.txt",
                both(a_yolo_set, lambda f: (f / "set/data.yaml").unlink()),
                "data check set",
                "links to",
                "links to",
            ),
            ("p.yaml", a_yolo_set, "registry verify m --policy p.yaml", "links to", "not printed"),
            ("p.yaml", a_yolo_set, "systems p.yaml", "links to", "not printed"),
            ("p.yaml", a_yolo_set, "train --data set --class-map p.yaml", "links to", "not printed"),
            ("run/args.yaml", a_yolo_set, "import-run run", "links to", "not printed"),
            ("run/results.csv", a_yolo_set, "import-run run", "links to", "no column"),
            ("run/history.json", a_yolo_set, "import-run run", "links to", "not valid JSON"),
        )
        for target, says in ((".netrc", says_key), (f"key{Path(name).suffix}", says_same))
    ),
]


# -------------------------------------------------------------------------------------- numbers and names


def nothing(folder: Path) -> None:
    pass


NUMBERS = (HUGE, "9" * 5000, "nan", "inf", "-inf", "-1", "true", "1e-400", "")
OPTIONS = [
    *(f"train {option}" for option in ("--trials", "--parallel", "--seed", "--profile --profile-budget")),
    *(f"train --{name}" for name in ("epochs", "workers")),
    *(f"compare a b {option}" for option in ("--margin", "--draws", "--confidence", "--seed")),
    *(f"evaluate m {option}" for option in ("--examples", "--threads")),
    *(f"export m {option}" for option in ("--pictures", "--calibrate", "--calls")),
    *(f"registry measure m 1 {option}" for option in ("--calls", "--threads")),
    *(
        "sync --timeout",
        "data demo oct-detector --seed",
        "data convert s --to yolo --out o --seed",
        "server --port",
    ),
]
SETTINGS = (
    "epochs",
    "batch",
    "workers",
    "image_size",
    "patience",
    "lr",
    "warmup_epochs",
    "clip_norm",
    "dropout",
)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_number_out_of_range_is_a_usage_error(option: str, shell: Shell) -> None:
    """All numbers in one process for each option: what is tried is click's own conversion."""
    from click.testing import CliRunner

    from mlops.cli.main import cli

    *before, name = option.split()
    for number in NUMBERS:
        if number == "" and name in ("--epochs", "--workers"):
            continue  # MLproject passes '' for a parameter without a value
        if number in ("1e-400", "-1") and name in ("--margin", "--timeout"):
            number = "-1"
        answer = CliRunner().invoke(cli, [*before, f"{name}={number}"], prog_name="mlops")
        told = str(answer.exception) if answer.exit_code == 1 else answer.output
        assert answer.exit_code == 2 or getattr(answer.exception, "exit_code", None) == 2, f"{number}: {told}"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_out_of_range_is_refused(name: str) -> None:
    from mlops.errors import BadSetting
    from mlops.systems import configure, load_system

    for number in (HUGE, "9" * 5000, "nan", "inf", "-inf", "-1", "", f"0..{HUGE}", "nan..inf"):
        for setting in (f"{name}={number}", f"space.{name}={number}"):
            with pytest.raises(BadSetting) as told:
                configure(load_system("blood-cell-classifier"), [setting])
            assert len(str(told.value)) < 1000


COMMAND_LINES = [
    Hostile("10^30 trials", nothing, f"train --trials {HUGE}", "--trials"),
    Hostile("a margin that is no number", nothing, "compare a b --margin nan", "--margin"),
    Hostile("a time limit that is no number", nothing, "sync --timeout nan", "--timeout"),
    Hostile("a threshold that is no number", nothing, "compare a b --threshold nan", "--threshold"),
    Hostile("a rule of 10^30", nothing, f"evaluate m --threshold-rule F{HUGE}", "--threshold-rule"),
    Hostile(
        "shares that are no numbers",
        a_yolo_set,
        "data convert set --to yolo --out o --split nan,nan,nan",
        "--split",
    ),
    Hostile("a study of 10,000 characters", nothing, f"train --study {'a' * 10_000}", "10,000 characters"),
    Hostile("a study of 300 characters", nothing, f"train --study {'a' * 300}", "300 characters"),
    Hostile("a system of 5,000 characters", nothing, f"train {'a' * 5000}", "unknown system"),
    Hostile("a system file of 5,000 characters", nothing, f"systems {'a' * 5000}.yaml", "File name too long"),
    Hostile(
        "a policy of 5,000 characters",
        nothing,
        f"registry verify m --policy {'a' * 5000}.yaml",
        "File name too long",
    ),
    Hostile("data of 5,000 characters", nothing, f"data check {'a' * 5000}", "File name too long"),
    Hostile("a setting of 5,000 characters", nothing, f"train --set {'a' * 5000}=1", "only these keys"),
    Hostile("a run of 5,000 characters", nothing, f"import-run {'a' * 5000}", "does not exist"),
    Hostile(
        "a variable of 10,000 characters", nothing, "systems", "MLOPS_HOME", (("MLOPS_HOME", "a" * 10_000),)
    ),
    Hostile(
        "a variable that is not UTF-8", nothing, "systems", "not valid UTF-8", (("MLOPS_USER", "\udcff"),)
    ),
    Hostile(
        "a system with numbers of 10^30", lambda f: system_with(f, "epochs", HUGE), "systems s.yaml", "epochs"
    ),
    Hostile("a system with NaN", lambda f: system_with(f, "lr", ".nan"), "systems s.yaml", "lr"),
    Hostile(
        "a policy with NaN",
        write("p.yaml", "model: m\ngates:\n  Staging:\n  - {kind: floor, metric: a, minimum: .nan}\n"),
        "registry verify m --policy p.yaml",
        "minimum",
    ),
    Hostile(
        "a policy with 10^30 draws",
        write("p.yaml", f"model: m\ngates:\n  Staging:\n  - {{kind: not worse, metric: a, draws: {HUGE}}}\n"),
        "registry verify m --policy p.yaml",
        "draws",
    ),
    Hostile(
        "a policy with a limit of 10^30",
        write("p.yaml", f"model: m\ngates:\n  Staging:\n  - {{kind: size, at_most_mb: {HUGE}}}\n"),
        "registry verify m --policy p.yaml",
        "at_most_mb",
    ),
]


def system_with(folder: Path, key: str, value: str) -> None:
    import re
    from importlib import resources

    text = (resources.files("mlops.systems") / "blood-cell-classifier.yaml").read_text()
    changed, count = re.subn(rf"^  {key}: .*$", f"  {key}: {value}", text, count=1, flags=re.MULTILINE)
    assert count
    (folder / "s.yaml").write_text(changed)


TABLE = [*TEXTS, *SPECIAL, *JSON, *TABLES, *PICTURES, *DECODERS, *ARCHIVES, *PATHS, *COMMAND_LINES]


@pytest.mark.parametrize(
    "hostile",
    [pytest.param(each, id=each.name, marks=[pytest.mark.long] if each.long else []) for each in TABLE],
)
def test_a_small_input_has_no_large_effect(
    hostile: Hostile, shell: Shell, record_property: Callable[[str, object], None]
) -> None:
    hostile.make(shell.folder)
    done = run(shell, *hostile.command.split(), **dict(hostile.environment))
    record_property("seconds", round(done.seconds, 2))
    record_property("peak_mb", done.peak_bytes // 10**6)
    refused(done, hostile.says)
    assert not (shell.folder / "mlflow.db").exists(), "nothing is written for a command that could not start"


@pytest.mark.long
@pytest.mark.parametrize(
    ("mode", "kind"), [("RGBA", "tif"), ("I;16", "tif"), ("CMYK", "tif"), ("RGB", "webp")]
)
def test_the_largest_image_is_checked_in_1_gb(mode: str, kind: str, shell: Shell) -> None:
    from PIL import Image

    folder = yolo(shell.folder / "set", {"train": 4, "val": 4})
    side = 6_688 if kind == "webp" else 13_377
    (folder / "images/train/train0.jpg").unlink()
    packed = {"lossless": True} if kind == "webp" else {"compression": "tiff_lzw"}
    Image.new(mode, (side, side)).save(folder / f"images/train/train0.{kind}", **packed)
    done = run(shell, "data", "check", "set")
    assert (done.status, done.err) == (0, ""), done.out + done.err
    assert done.peak_bytes < BYTES


def test_file_names_cannot_write_to_the_terminal(shell: Shell) -> None:
    folder = yolo(shell.folder / "set")
    (folder / "images/train/\x1b[2J\n\u202ea.jpg").write_bytes(b"no image")
    done = run(shell, "data", "check", "set")
    assert "\x1b" not in done.out and "\u202e" not in done.out
    refused(done, "\\x1b[2J \\u202ea.jpg: cannot be read")


def test_bytes_that_are_not_utf8_are_named(shell: Shell) -> None:
    refused(run(shell, b"train", b"--study", b"\xff"), "'\\udcff', which is not valid UTF-8")
    refused(run(shell, b"data", b"check", b"caf\xe9"), "is not valid UTF-8")
    folder = os.fsencode(class_folders(shell.folder / "set"))
    os.rename(folder + b"/train/cat", folder + b"/train/c\xe9t")  # noqa: PTH104
    refused(run(shell, "data", "check", "set"), "not valid Un")
    done = run(shell, "data", "check", "set", "--json")
    assert (done.status, json.loads(done.out)["errors"]) == (2, 1)
