"""One Optuna study on this machine's disk: its identity, its trials, and which process runs which.

Layout of a study's folder::

    journal.log      Optuna's JournalStorage: the trials
    study.lock       held by the command that runs the study
    claim.lock       held while a worker takes its next trial
    trial-000/       a trial's checkpoints and artifacts, and its lock
    final-000/       the training of the best trial's parameters with all epochs, if trials are shorter

The kernel releases the locks of a process that dies in any way. So a trial whose worker was killed can be
distinguished from one that is running.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.errors import BadSetting, StudyMismatch, UserError
from mlops.files.atomic import write_durably
from mlops.files.locks import ProcessLock, locked
from mlops.files.private import private_folder, private_home
from mlops.search.oom import ProcessStart, start_now
from mlops.search.optuna_internals import open_again
from mlops.search.request import StudyRequest
from mlops.search.suggest import recipe_point
from mlops.store.credentials import parse_address
from mlops.systems.space import Choice
from mlops.training.weights import file_digest

if TYPE_CHECKING:
    import optuna

    from mlops.data.dataset import Identity

_STARTUP_TRIALS = 4


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """Identity of a study. Two calls with the same identity continue the same study."""

    system: str
    data_digest: str
    space_digest: str

    @property
    def name(self) -> str:
        return f"{self.system}-d{self.data_digest[:8]}-s{self.space_digest[:8]}"


def identity_of(request: StudyRequest, data: Identity) -> StudyIdentity:
    """System, data and space (including the recipe, the length of trials, the seed, and the content of files
    of initial weights).
    """
    searched: dict[str, object] = {
        "recipe": request.spec.recipe.of_identity(),
        "space": {name: span.model_dump(mode="json") for name, span in request.spec.space.items()},
        "search": request.spec.search.model_dump(mode="json"),
        "seed": request.seed,
    }
    if request.trial_epochs < request.spec.recipe.epochs:
        searched["trial_epochs"] = request.trial_epochs  # not comparable with a plain training
    if weights := _first_weights(request):
        searched["weights_digest"] = weights
    text = json.dumps(searched, sort_keys=True)
    return StudyIdentity(request.spec.name, data.digest, hashlib.sha256(text.encode()).hexdigest())


def _first_weights(request: StudyRequest) -> dict[str, str]:
    """SHA-256 of every file of initial weights of any trial, by its path as given."""
    span = request.spec.space.get("weights")
    named = [request.spec.recipe.weights, *(span.values if isinstance(span, Choice) else ())]
    found = {str(name): file_digest(str(name)) for name in named}
    return {name: digest for name, digest in sorted(found.items()) if digest}


def make_sampler(seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's multivariate TPE; workers that sample at the same time get different values (constant
    liar).
    """
    import optuna

    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)


def make_pruner(warmup_epochs: int) -> optuna.pruners.BasePruner:
    """Prune a trial that is below the median of earlier ones at the same epoch."""
    import optuna

    return optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=warmup_epochs)


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that this process runs, with its lock.

    deaths: consecutive process deaths for lack of memory, see `oom`.
    """

    trial: optuna.Trial
    folder: Path
    resumed: bool
    lock: ProcessLock
    deaths: int = 0


class Study:
    """The trials of one study and the rules for claiming them."""

    def __init__(self, request: StudyRequest, identity: StudyIdentity) -> None:
        self.request = request
        self.identity = identity
        self.name = _folder_name(request.study) if request.study else identity.name
        self.folder = request.home / "studies" / self.name
        private_home(request.home)
        private_folder(self.folder.parent)
        private_folder(self.folder)
        self._study: optuna.Study | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the study for this command. Raises UserError if another command holds the lock."""
        lock = ProcessLock(self.folder / "study.lock")
        if not lock.take():
            raise UserError(
                f"study {self.name} is being run by another process; wait for it, or choose another name "
                "with --study"
            )
        try:
            _mend_journal(self.folder / "journal.log")
            _remove_logins(self.folder)
            yield
        finally:
            lock.release()

    @property
    def optuna_study(self) -> optuna.Study:
        """The study in Optuna's storage; opened if needed."""
        if self._study is None:
            self.open()
        assert self._study is not None
        return self._study

    def open(self) -> None:
        """Read the study, or create it.

        Raises StudyMismatch if a study of this name has another identity.
        """
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(self.folder / "journal.log")))
        study = optuna.create_study(
            study_name=self.name,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            sampler=make_sampler(self.request.seed),
            pruner=make_pruner(self.request.spec.search.warmup_epochs),
        )
        self._check_identity(study)
        self._check_store(study)
        self._study = study

    def _check_identity(self, study: optuna.Study) -> None:
        wanted = {
            "system": self.identity.system,
            "data": self.identity.data_digest,
            "space": self.identity.space_digest,
        }
        kept = study.user_attrs.get("identity")
        if kept is None:
            study.set_user_attr("identity", wanted)
        elif kept != wanted:
            differing = ", ".join(
                f"{part} is {value[:12]}, the study has {str(kept.get(part))[:12]}"
                for part, value in wanted.items()
                if kept.get(part) != value
            )
            raise StudyMismatch(
                f"study {self.name} exists for other settings ({differing}); choose another name with "
                "--study, or omit it"
            )

    def _check_store(self, study: optuna.Study) -> None:
        """Check that the store is that of earlier calls, as curves continued in another would be
        incomplete.
        """
        here = self.request.tracking_uri
        kept = study.user_attrs.get("store")
        if kept is None:
            study.set_user_attr("store", here)
        elif (kept := parse_address(kept).uri) != here:
            raise StudyMismatch(
                f"study {self.name} is recorded in {kept}, not in {here}; continue it there "
                f"(MLFLOW_TRACKING_URI={kept}), or start another one with --study"
            )

    def ensure_recipe_trial(self) -> None:
        """Enqueue the recipe unless it already has a trial that did not fail."""
        import optuna

        point = recipe_point(self.request.spec.recipe, self.request.spec.space)
        for trial in self.optuna_study.get_trials(deepcopy=False):
            if trial.state == optuna.trial.TrialState.FAIL:
                continue
            planned = trial.system_attrs.get("fixed_params", trial.params)
            if planned == point:
                return
        self.optuna_study.enqueue_trial(point, user_attrs={"recipe": True})

    def failures(self) -> int:
        """Number of failed trials."""
        import optuna

        return len(self.optuna_study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.FAIL,)))

    def claim(self, budget: int, forgiven: int) -> Claim | None:
        """Take the next trial: first one of a dead worker, then a new one while the study has fewer than
        `budget`. None if nothing is left to do.

        forgiven: number of trials that failed before this command started; they do not count.
        """
        import optuna

        with locked(self.folder / "claim.lock"):
            trials = self.optuna_study.get_trials(deepcopy=False)
            for frozen in trials:
                if frozen.state == optuna.trial.TrialState.RUNNING:
                    lock = self.trial_lock(frozen.number)
                    if lock.take():
                        self._draw_anew(frozen.number)
                        trial = open_again(self.optuna_study, frozen)
                        epoch = max(frozen.intermediate_values, default=0)
                        start = start_now(epoch, frozen.user_attrs.get("start"))
                        return self._claimed(trial, lock, start, resumed=True)
            started = sum(frozen.state != optuna.trial.TrialState.WAITING for frozen in trials)
            if started - forgiven >= budget:
                return None
            self._draw_anew(len(trials))
            trial = self.optuna_study.ask()
            lock = self.trial_lock(trial.number)
            if not lock.take():
                raise UserError(
                    f"{self.trial_folder(trial.number)} is in use; choose another name with --study"
                )
            return self._claimed(trial, lock, start_now(0, None), resumed=False)

    def _draw_anew(self, trial: int) -> None:
        """Seed the sampler for each trial: with the same seed in each call or worker, it would draw the same
        values again.
        """
        self.optuna_study.sampler = make_sampler(_seed_of(self.request.seed, trial))

    def _claimed(
        self, trial: optuna.Trial, lock: ProcessLock, start: ProcessStart, *, resumed: bool
    ) -> Claim:
        trial.set_user_attr("pid", os.getpid())
        trial.set_user_attr("start", start.noted())
        return Claim(trial, self.trial_folder(trial.number), resumed, lock, start.deaths)

    def trial_folder(self, number: int) -> Path:
        folder = self.folder / f"trial-{number:03d}"
        folder.mkdir(exist_ok=True)
        return folder

    def trial_lock(self, number: int) -> ProcessLock:
        """Held by the process that runs the trial."""
        return ProcessLock(self.trial_folder(number) / "lock")

    def trial_key(self, number: int) -> str:
        """The key of a trial's run in the outbox; the same after every restart."""
        return f"{self.key}/trial-{number:03d}"

    @property
    def key(self) -> str:
        return f"{self.name}@{self.identity.data_digest[:8]}{self.identity.space_digest[:8]}"


def _seed_of(seed: int, trial: int) -> int:
    return random.Random(f"{seed}/{trial}").getrandbits(32)


def _folder_name(study: str) -> str:
    """A study's name is also its folder name. Raises BadSetting for an invalid one."""
    if not re.fullmatch(r"\w[\w .@+-]{0,99}", study):
        allowed = "at most 100 letters, digits, spaces or any of _ . @ + -, starting with a letter or digit"
        raise BadSetting("the command line", "--study", study, allowed)
    return study


def _mend_journal(journal: Path) -> None:
    """Remove an incomplete last line after a kill; it was never acknowledged and would corrupt the next."""
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)


def _remove_logins(folder: Path) -> None:
    """Remove the store's login from the files of a study of release 0.1."""
    (folder / "request.json").unlink(missing_ok=True)  # of workers that have ended
    journal = folder / "journal.log"
    if not journal.exists():
        return
    lines = journal.read_bytes().split(b"\n")
    public = [_without_login(line) if b'"store"' in line else line for line in lines]
    if public != lines:
        write_durably(journal, b"\n".join(public))


def _without_login(line: bytes) -> bytes:
    """A line of Optuna's journal that sets the study's store, with the URI only."""
    try:
        change = json.loads(line)
    except ValueError:  # damaged: Optuna reports it
        return line
    if "store" not in change.get("user_attr", {}):
        return line
    change["user_attr"]["store"] = parse_address(str(change["user_attr"]["store"])).uri
    return json.dumps(change, separators=(",", ":")).encode()
