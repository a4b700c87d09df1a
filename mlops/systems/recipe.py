"""The hyperparameters of one training, one typed class per task.

Names are those of the libraries if they are well known (`lr0`, `mosaic`, `cls_pw`). A key that no trainer
reads is an error.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from mlops.files.typed_yaml import StrictSettings

MOST = 1_000_000  # of epochs, images of a batch, gains: above every useful value, and exact in all libraries
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=MOST)]
NotNegative = Annotated[float, Field(ge=0.0, le=MOST)]
Degrees = Annotated[float, Field(ge=0.0, le=180.0)]
Count = Annotated[int, Field(ge=1, le=MOST)]
CountOrZero = Annotated[int, Field(ge=0, le=MOST)]
Weights = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        description="a name in the library (`yolo26m.pt`, `imagenet`), a file path, or `none`",
    ),
]


def _text_as_bool(given: object) -> object:
    """`--set` passes text."""
    return {"true": True, "false": False}.get(given.lower(), given) if isinstance(given, str) else given


AutoOrBool: TypeAlias = Annotated[Literal["auto", True, False], BeforeValidator(_text_as_bool)]


class Recipe(StrictSettings):
    """The settings that all tasks share."""

    model: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="the architecture's name in its library, or a model YAML"
    )
    weights: Weights
    image_size: Annotated[int, Field(ge=16, le=4096)] = Field(description="pixels, square")
    batch: Count = Field(description="images per step")
    epochs: Count
    patience: CountOrZero = Field(
        description="epochs without a better val/mAP50-95 (boxes) or val/macro_f1 (classes) before training "
        "stops; 0 disables it"
    )
    workers: Annotated[int, Field(ge=0, le=1024)] = Field(description="data-loading processes")
    amp: bool = Field(description="mixed precision, if the device benefits (CUDA)")

    def of_identity(self) -> dict[str, Any]:
        """The settings that identify a training or a study: without those that only change its speed."""
        settings = self.model_dump(mode="json", exclude={"workers", "cache"})
        if settings.get("compile") == "auto":
            settings["compile"] = False  # the default of releases that knew no "auto"
        return settings


class DetectionRecipe(Recipe):
    """Ultralytics' training arguments, under its names; see docs.ultralytics.com/usage/cfg."""

    image_size: Annotated[int, Field(ge=32, le=4096, multiple_of=32)] = Field(
        description="pixels, square; a multiple of the stride, else the library would round it"
    )
    nbs: Count = Field(
        default=64, description="nominal batch: gradients of batches are summed up to about this many images"
    )
    optimizer: Literal["SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp", "auto"]
    lr0: Annotated[float, Field(gt=0.0, le=1.0)]  # the library's upper limit, here and below
    lrf: Fraction = Field(description="final learning rate as a fraction of lr0")
    cos_lr: bool = Field(default=False, description="cosine decay; else linear")
    momentum: BelowOne
    weight_decay: Fraction
    warmup_epochs: NotNegative
    box: NotNegative
    cls: NotNegative
    dfl: NotNegative = Field(description="gain of the distribution focal loss; of the L1 loss on YOLO26")
    cls_pw: Fraction = Field(default=0.0, description="power of inverse class frequency as class weight")
    freeze_layers: CountOrZero = Field(
        default=0, description="first layers kept frozen (10 or 11: the backbone)"
    )
    freeze_epochs: CountOrZero = Field(
        default=0, description="epochs after which `freeze_layers` are unfrozen; 0: never"
    )
    mosaic: Fraction
    close_mosaic: CountOrZero = Field(
        default=10, description="number of last epochs without mosaic, mixup and copy_paste"
    )
    mixup: Fraction
    copy_paste: Fraction = Field(description="applies to objects with an outline")
    degrees: Degrees
    translate: Fraction = 0.1
    scale: BelowOne
    shear: Degrees = 0.0
    perspective: Annotated[float, Field(ge=0.0, le=0.001)] = 0.0
    flipud: Fraction
    fliplr: Fraction
    hsv_h: Fraction = 0.015
    hsv_s: Fraction = 0.7
    hsv_v: Fraction = 0.4
    brightness: Fraction = Field(default=0.0, description="largest relative change of brightness")
    contrast: Fraction = Field(default=0.0, description="largest relative change of contrast")
    save_period: Annotated[int, Field(ge=-1, le=MOST)] = Field(
        default=-1, description="epochs between kept checkpoints; -1: none"
    )
    cache: Literal["none", "ram"] = Field(
        default="none", description="ram: keep decoded images in memory between epochs"
    )


class ClassificationRecipe(Recipe):
    """A timm network trained by Lightning."""

    optimizer: Literal["adamw", "adam", "sgd"]
    lr: Positive
    weight_decay: NotNegative
    schedule: Literal["cosine", "constant", "onecycle"]
    warmup_epochs: NotNegative = 0.0
    accumulate: Count = Field(description="batches whose gradients are summed before one step")
    clip_norm: NotNegative = Field(description="largest gradient norm; 0 disables clipping")
    freeze_epochs: CountOrZero = Field(description="epochs with a frozen backbone")
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="loss weight of a class: n / (classes * n_class), as scikit-learn's"
    )
    sampler: Literal["shuffle", "balanced"] = Field(
        default="shuffle", description="balanced: each class is drawn equally often"
    )
    label_smoothing: BelowOne = 0.0
    dropout: BelowOne = 0.0
    hflip: Fraction = 0.5
    vflip: Fraction = 0.5
    degrees: Degrees = 0.0
    scale: BelowOne = Field(default=0.0, description="largest relative zoom")
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    compile: AutoOrBool = Field(
        default="auto",
        description="torch.compile; auto: after a measured epoch, if the epochs left are long enough to pay",
    )


class JointRecipe(Recipe):
    """Boxes and image class in one network with balanced losses (GradNorm: Chen et al., ICML 2018)."""

    image_size: Annotated[int, Field(ge=32, le=4096, multiple_of=32)] = Field(
        description="pixels, square; a multiple of the stride, else the library would round it"
    )
    nbs: Count = Field(
        default=64, description="nominal batch: gradients of batches are summed up to about this many images"
    )
    optimizer: Literal["SGD", "Adam", "AdamW"]
    lr0: Annotated[float, Field(gt=0.0, le=1.0)]
    lrf: Fraction = Field(description="final learning rate as a fraction of lr0")
    cos_lr: bool = Field(default=False, description="cosine decay; else linear")
    momentum: BelowOne
    weight_decay: Fraction
    warmup_epochs: NotNegative = 3.0
    box: NotNegative = 7.5
    cls: NotNegative = 0.5
    dfl: NotNegative = Field(default=1.5, description="gain of the distribution focal loss; of L1 on YOLO26")
    augment: bool = Field(default=False, description="augment the training images")
    image_label: Annotated[str, Field(pattern=r"(?i)^(folder|largest|present:.+|.+\.(csv|tsv))$")] = Field(
        default="labels.csv",
        description="source of an image's class: a table's name or path (labels.csv), folder, "
        "present:CLASS or largest",
    )
    detect: bool = Field(default=True, description="train the boxes")
    classify: bool = Field(default=True, description="train the image class head")
    backbones: Literal["shared", "independent"] = "shared"
    head_width: Count = Field(default=256, description="channels of the class head")
    head_dropout: BelowOne = 0.0
    balance: Literal["gradnorm", "fixed", "uncertainty", "upgrad", "pcgrad"] = Field(
        default="gradnorm", description="method that weights the two losses"
    )
    balance_every: CountOrZero = Field(
        default=1,
        description="optimizer steps between measurements of gradient norms; 0 (only for fixed and "
        "uncertainty): never",
    )
    detection_weight: Positive = Field(default=1.0, description="initial weight of the detection loss")
    classification_weight: Positive = Field(default=1.0, description="initial weight of the image class loss")
    gradnorm_alpha: NotNegative = Field(
        default=1.5, description="strength of the force towards equal training rates"
    )
    gradnorm_lr: Positive = Field(default=0.025, description="learning rate of the two loss weights")
    gradnorm_log: bool = Field(
        default=False,
        description="learn the logarithms of the weights, so that steps are relative; for weights of very "
        "different size",
    )
    gradnorm_floor: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=1e-4,
        description="smallest weight of a task; with uncertainty, weights stay between it and its inverse",
    )
    gradnorm_initial_steps: Count = Field(
        default=1, description="number of first optimizer steps whose mean is the initial detection loss"
    )


AnyRecipe: TypeAlias = DetectionRecipe | ClassificationRecipe | JointRecipe
