"""Read an npz with MedMNIST's keys: {train,val,test}_{images,labels} (Yang et al., Sci Data 2023)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import SPLITS, ClassificationSource, LabelledImages, SplitName
from mlops.data.faults import Fault, fault
from mlops.data.readers.layout import only_file
from mlops.errors import DataFault

if TYPE_CHECKING:
    import numpy as np
    from numpy.lib.npyio import NpzFile
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
        with _opened(file) as stored:
            arrays = {key: stored[key] for key in stored.files if key.endswith(("_images", "_labels"))}
            own = tuple(str(each) for each in stored["classes"]) if "classes" in stored.files else ()
    except PermissionError:
        raise
    except (ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataFault(f"{file}: not an npz of plain arrays: {error}") from error
    if "train_images" not in arrays:
        raise DataFault(
            f"{file}: train_images is missing; expected MedMNIST's keys train_images, train_labels, ..."
        )

    splits = {split: _split(file, arrays, split) for split in SPLITS if f"{split}_images" in arrays}
    count = 1 + max((int(each.labels.max()) for each in splits.values() if len(each)), default=0)
    known = next((names for key, names in KNOWN_CLASSES.items() if key in file.stem.lower()), tuple(classes))
    named = own or known
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
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


def _opened(file: Path) -> NpzFile:
    import numpy as np

    stored = np.load(file, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array")
    return stored


def _split(file: Path, arrays: Mapping[str, NDArray[np.generic]], split: SplitName) -> LabelledImages:
    import numpy as np

    images, labels = arrays[f"{split}_images"], arrays.get(f"{split}_labels")
    if labels is None:
        raise DataFault(f"{file}: {split}_labels is missing; {split}_images needs labels")
    if (
        images.dtype != np.uint8
        or images.ndim not in (3, 4)
        or (images.ndim == 4 and images.shape[3] not in (1, 3))
    ):
        raise DataFault(
            f"{file}: {split}_images is {images.dtype} {images.shape}; "
            "expected uint8 (N, H, W) or (N, H, W, 3)"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise DataFault(
            f"{file}: {split}_labels is {labels.dtype} {labels.shape} for {len(images)} images; "
            "expected one integer per image (several labels per image are not supported)"
        )
    if len(labels) and int(labels.min()) < 0:
        raise DataFault(f"{file}: {split}_labels contains {int(labels.min())}; expected 0 or more")
    if images.ndim == 3 or images.shape[3] == 1:
        images = np.repeat(images.reshape(*images.shape[:3], 1), 3, axis=3)
    return LabelledImages(images.view(np.uint8), labels.astype(np.int64))
