"""Architecture and initial weights of a training with Ultralytics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.errors import BadSetting, MissingWeights
from mlops.training.detection.model_yaml import checked_model
from mlops.training.detection.network_file import SavedNetwork, read_network
from mlops.training.weights import find_weights, require_server, unavailable, wants_none

if TYPE_CHECKING:
    from mlops.systems.recipe import DetectionRecipe, JointRecipe

SAFETENSORS = ".safetensors"


def architecture(model: str) -> str:
    """The model YAML of a name: `yolo11n`, `yolo11n.pt` and `yolo11n.yaml` are the same network.

    Raises BadSetting for a model that is not a detector.
    """
    from ultralytics.nn.tasks import guess_model_task, yaml_model_load

    given = Path(model).expanduser()
    file = (
        given
        if given.suffix in (".yaml", ".yml")
        else given.with_name(f"{given.name.removesuffix('.pt')}.yaml")
    )
    try:
        described = yaml_model_load(file)
        task = guess_model_task(described)
    except (OSError, ValueError, TypeError):
        task = None
    if task != "detect":
        raise BadSetting(
            "the recipe", "model", model, "a detector of Ultralytics, such as yolo26m, or a model YAML"
        )
    checked_model(described, f"model={model}")
    return str(file)


def first_weights(setting: str, store: Path) -> Path | None:
    """The safetensors file for `setting`, None for `none`; fetches a published file into `store` if needed.

    Raises MissingWeights for unavailable weights and a checkpoint of another network, UnsafeWeights,
    BadSetting for a network that is not allowed.
    """
    from ultralytics.utils import SETTINGS

    if wants_none(setting):
        return None
    name = setting if Path(setting).suffix else f"{setting}.pt"
    found = find_weights(setting, ()) or find_weights(name, (store, Path(SETTINGS["weights_dir"])))
    return _checked(found if found is not None else _fetched(name, store), store)


def _fetched(name: str, store: Path) -> Path:
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, GITHUB_ASSETS_REPO, attempt_download_asset

    if name not in GITHUB_ASSETS_NAMES:
        raise unavailable(name, "Ultralytics does not publish weights of this name")
    require_server(name, f"https://github.com/{GITHUB_ASSETS_REPO}/releases")
    store.mkdir(parents=True, exist_ok=True)
    try:
        return Path(attempt_download_asset(store / name))
    except (OSError, MemoryError) as error:
        raise unavailable(name, f"the download failed ({error})") from error


def _checked(file: Path, store: Path) -> Path:
    """`file` as safetensors, which is a copy in `store` of a checkpoint that torch wrote."""
    from mlops.training.conversion import converted
    from mlops.training.detection.recorded_network import write_recorded

    made = file
    if file.suffix != SAFETENSORS:
        made = converted(file, store, write_recorded)
    read_network(made, complete=False, given=file)
    return made


def refuse_foreign(network: Any, weights: SavedNetwork, setting: str, model: str) -> None:
    """Raise MissingWeights if no tensor of `weights` fits a layer of `network`.

    setting, model: the recipe's `weights` and `model`.
    """
    mine, theirs = network.state_dict(), weights.network.state_dict()
    if not any(key in mine and mine[key].shape == value.shape for key, value in theirs.items()):
        raise MissingWeights(
            f"weights={setting} holds {weights.description.architecture}, of which no tensor fits "
            f"model={Path(model).stem}; set weights of that architecture"
        )


def check_weights(recipe: DetectionRecipe | JointRecipe, cache: Path) -> None:
    """Raise what `architecture`, `first_weights` and `refuse_foreign` raise, before anything is trained."""
    from ultralytics.nn.tasks import DetectionModel

    model, weights = architecture(recipe.model), first_weights(recipe.weights, cache / "weights")
    if weights is not None:
        network = DetectionModel(model, verbose=False)
        refuse_foreign(network, read_network(weights, complete=False), recipe.weights, model)
