"""Read an npz with MedMNIST's keys: {train,val,test}_{images,labels} (Yang et al., Sci Data 2023)."""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import SPLITS, ClassificationSource, LabelledImages, SplitName
from mlops.data.faults import Fault, fault
from mlops.data.readers.layout import only_file
from mlops.errors import DataFault, brief, shown
from mlops.files import limits
from mlops.files.regular_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

# the file has only numbers; the names are medmnist.com's, without brackets and spaces
KNOWN_CLASSES: Mapping[str, tuple[str, ...]] = {
    "bloodmnist": (
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature_granulocytes",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    ),
}


def read(path: Path, name: str, classes: tuple[str, ...] = ()) -> ClassificationSource:
    """Read the splits of an npz, or of the only npz in a folder.

    classes: the labels' names, used if neither a `classes` array in the file nor the file's name gives them.
        Without names they are `class_0` and so on.
    Raises DataFault if the file is not an npz, or has no train images.
    """

    file = path if path.is_file() else only_file(path, (".npz",))
    if file is None:
        raise DataFault(f"{path}: expected exactly one .npz file in the folder")
    try:
        arrays = read_arrays(file, ("_images", "_labels", "classes"))
    except PermissionError:
        raise
    except _UNREADABLE as error:
        raise DataFault(f"{file}: not an npz of plain arrays: {brief(error)}") from error
    own = tuple(str(each) for each in arrays["classes"].ravel()) if "classes" in arrays else ()
    if "train_images" not in arrays:
        raise DataFault(
            f"{file}: train_images is missing; expected MedMNIST's keys train_images, train_labels, ..."
        )

    splits = {split: _split(file, arrays, split) for split in SPLITS if f"{split}_images" in arrays}
    count = 1 + max((int(each.labels.max()) for each in splits.values() if len(each)), default=0)
    known = next((names for key, names in KNOWN_CLASSES.items() if key in file.stem.lower()), tuple(classes))
    named = own or known
    if len(set(named)) < len(named):
        twice = next(name for name, times in Counter(named).items() if times > 1)
        raise DataFault(f"{file}: classes has {twice!r} twice; write a unique name for each label")
    faults: list[Fault] = []
    if named and count > len(named):
        says = f"label {count - 1} is unknown; the set has {len(named)} classes, 0 to {len(named) - 1}"
        faults.append(fault("unknown-class", file, says))
    return ClassificationSource(
        name=name,
        root=file.parent.resolve(),
        classes=named or tuple(f"class_{index}" for index in range(count)),
        splits=splits,
        files=(file.resolve(),),
        faults=(
            *faults,
            *(
                fault("empty-split", file, f"no images in {k}_images")
                for k, v in splits.items()
                if not len(v)
            ),
        ),
    )


_UNREADABLE = (
    *(ValueError, TypeError, KeyError, SyntaxError, OverflowError, RecursionError, NotImplementedError),
    *(
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        struct.error,
        MemoryError,
    ),
)


def read_arrays(file: Path, endings: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    """The arrays whose names have one of `endings`.

    Each header is read before its array: the archive must hold what it declares, so that no memory is
    allocated for a shape that a header of 100 bytes claims.
    Raises DataFault above a limit, and one of `_UNREADABLE`.
    """

    with open_regular(file) as stream:
        if stream.read(6) == b"\x93NUMPY":
            raise ValueError("it is a single array")
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if len(members) > limits.NPZ_MEMBERS:
                raise DataFault(f"{file}: {len(members):,} arrays; at most {limits.NPZ_MEMBERS} are read")
            _refuse_bomb(file, members)
            found: dict[str, NDArray[np.generic]] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name.endswith(endings):
                    found[name] = _array(file, archive, member)
            return found


def _refuse_bomb(file: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    declared, stored = sum(each.file_size for each in members), file.stat().st_size
    if declared > limits.NPZ_BYTES or (
        declared > limits.NPZ_DENSE_BYTES and declared > limits.NPZ_RATIO * stored
    ):
        raise DataFault(f"{file}: {stored:,} bytes that unpack to {declared:,} are too many to read")


def _array(file: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    import numpy as np

    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds Python objects, which are not loaded")
        size = dtype.itemsize * math.prod(shape)
        if size > member.file_size or math.prod(shape) > member.file_size:
            raise DataFault(
                f"{file}: {shown(member.filename)} declares an array of {shown(shape)}, {shown(size)} bytes, "
                f"but holds {member.file_size:,}"
            )
    with archive.open(member) as stream:
        array: NDArray[np.generic] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _split(file: Path, arrays: Mapping[str, NDArray[np.generic]], split: SplitName) -> LabelledImages:
    import numpy as np

    images, labels = arrays[f"{split}_images"], arrays.get(f"{split}_labels")
    if labels is None:
        raise DataFault(f"{file}: {split}_labels is missing; {split}_images needs labels")
    if (
        images.dtype != np.uint8
        or images.ndim not in (3, 4)
        or (images.ndim == 4 and images.shape[3] not in (1, 3))
        or min(images.shape[1:3]) < limits.NPZ_LEAST_SIDE
    ):
        raise DataFault(
            f"{file}: {split}_images is {images.dtype} {images.shape}; "
            f"expected uint8 (N, H, W) or (N, H, W, 3), {limits.NPZ_LEAST_SIDE} pixels a side or more"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise DataFault(
            f"{file}: {split}_labels is {labels.dtype} {labels.shape} for {len(images)} images; "
            "expected one integer per image (several labels per image are not supported)"
        )
    for extreme in (int(labels.min()), int(labels.max())) if len(labels) else ():
        if not 0 <= extreme < limits.CLASSES:
            raise DataFault(
                f"{file}: {split}_labels contains {extreme}; expected 0 or more, below {limits.CLASSES:,}"
            )
    if images.ndim == 3 or images.shape[3] == 1:
        images = np.repeat(images.reshape(*images.shape[:3], 1), 3, axis=3)
    return LabelledImages(images.view(np.uint8), labels.astype(np.int64))
