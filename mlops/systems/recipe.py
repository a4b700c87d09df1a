"""The hyperparameters that one training is run with, one typed class a task.

Names are the libraries' own where the field knows them by those (`lr0`, `mosaic`, `cls_pw`). A key that no
trainer reads is an error, not silence.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Weights = Annotated[
    str,
    Field(description="a library's name (`yolo26m.pt`, `imagenet`), a path to a file, or `none`"),
]


class Recipe(BaseModel):
    """What every task shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="the architecture's name in its library, or a model YAML")
    weights: Weights
    image_size: Annotated[int, Field(ge=16, le=4096)] = Field(description="pixels, square")
    batch: Count = Field(description="pictures a step")
    epochs: Count
    patience: Annotated[int, Field(ge=0)] = Field(
        description="epochs without a better objective before training stops; 0 switches it off"
    )
    workers: Annotated[int, Field(ge=0)] = Field(description="data-loading processes")
    amp: bool = Field(description="mixed precision where the device gains by it (CUDA, MPS)")


class DetectionRecipe(Recipe):
    """Ultralytics' training arguments, under its names; see docs.ultralytics.com/usage/cfg."""

    optimizer: Literal["SGD", "MuSGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSProp", "auto"]
    lr0: Positive
    lrf: Positive = Field(description="final learning rate as a fraction of lr0")
    cos_lr: bool = False
    momentum: Fraction
    weight_decay: NotNegative
    warmup_epochs: NotNegative
    box: NotNegative
    cls: NotNegative
    dfl: NotNegative
    cls_pw: Fraction = Field(default=0.0, description="power of inverse class frequency as class weight")
    freeze_layers: Annotated[int, Field(ge=0)] = Field(
        default=0, description="first layers kept frozen (10 or 11: the backbone)"
    )
    freeze_epochs: Annotated[int, Field(ge=0)] = Field(
        default=0, description="epochs after which `freeze_layers` are released; 0 with freeze_layers: never"
    )
    mosaic: Fraction
    close_mosaic: Annotated[int, Field(ge=0)] = 10
    mixup: Fraction
    copy_paste: Fraction
    degrees: Annotated[float, Field(ge=0.0, le=180.0)]
    translate: Fraction = 0.1
    scale: Fraction
    shear: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    perspective: Annotated[float, Field(ge=0.0, le=0.001)] = 0.0
    flipud: Fraction
    fliplr: Fraction
    hsv_h: Fraction = 0.015
    hsv_s: Fraction = 0.7
    hsv_v: Fraction = 0.4
    brightness: Fraction = Field(default=0.0, description="largest relative change of brightness")
    contrast: Fraction = Field(default=0.0, description="largest relative change of contrast")
    save_period: Annotated[int, Field(ge=-1)] = Field(
        default=-1, description="a checkpoint kept every so many epochs; -1: none"
    )


class ClassificationRecipe(Recipe):
    """A timm network trained by Lightning."""

    optimizer: Literal["adamw", "adam", "sgd"]
    lr: Positive
    weight_decay: NotNegative
    schedule: Literal["cosine", "constant", "onecycle"]
    warmup_epochs: NotNegative = 0.0
    accumulate: Count = Field(description="batches whose gradients are added up before one step")
    clip_norm: NotNegative = Field(description="largest gradient norm; 0 switches clipping off")
    freeze_epochs: Annotated[int, Field(ge=0)] = Field(description="epochs with a frozen backbone")
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="loss weight of a class: n / (classes * n_class), as scikit-learn's"
    )
    sampler: Literal["shuffle", "balanced"] = Field(
        default="shuffle", description="balanced: each class is drawn equally often"
    )
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    hflip: Fraction = 0.5
    vflip: Fraction = 0.5
    degrees: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(default=0.0, description="largest relative zoom")
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    compile: bool = Field(default=False, description="torch.compile; pays on long runs")


class JointRecipe(Recipe):
    """Boxes and image class in one network under GradNorm (Chen et al., ICML 2018). Declared only."""

    optimizer: Literal["SGD", "Adam", "AdamW"]
    lr0: Positive
    lrf: Positive
    momentum: Fraction
    weight_decay: NotNegative
    backbones: Literal["shared", "independent"] = "shared"
    balance: Literal["gradnorm", "fixed"] = "gradnorm"
    gradnorm_alpha: NotNegative = 1.5
    gradnorm_lr: Positive = 0.025


AnyRecipe: TypeAlias = DetectionRecipe | ClassificationRecipe | JointRecipe
