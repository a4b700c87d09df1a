"""One Optuna study on this machine's disk: what it is of, which trials it has, who works on which.

Layout of a study's folder::

    journal.log      Optuna's JournalStorage: the trials
    study.lock       held by the command that runs the study
    claim.lock       held while a worker picks its next trial
    trial-000/       a trial's checkpoints and artifacts, and its lock
    final/           the fit of the best parameters at full length, where trials are shorter

Locks are the kernel's: a process that dies, however it dies, lets go of them. That is how a trial whose
worker was killed is told from one that is being worked on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.errors import StudyMismatch, UserError
from mlops.search.request import StudyRequest
from mlops.search.suggest import recipe_point
from mlops.tracking.locks import OnlyOne, only_one

if TYPE_CHECKING:
    import optuna

    from mlops.data.dataset import Identity

_STARTUP_TRIALS = 4


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """What a study is of. Two calls with the same identity go on with the same study."""

    system: str
    data_digest: str
    space_digest: str

    @property
    def name(self) -> str:
        return f"{self.system}-d{self.data_digest[:8]}-s{self.space_digest[:8]}"


def identity_of(request: StudyRequest, data: Identity) -> StudyIdentity:
    """System, data and space (with the recipe that it varies, and the seed)."""
    # workers change no result, so they do not change the study either
    searched = {
        "recipe": request.spec.recipe.model_dump(mode="json", exclude={"workers"}),
        "space": {name: span.model_dump(mode="json") for name, span in request.spec.space.items()},
        "search": request.spec.search.model_dump(mode="json"),
        "seed": request.seed,
    }
    text = json.dumps(searched, sort_keys=True)
    return StudyIdentity(request.spec.name, data.digest, hashlib.sha256(text.encode()).hexdigest())


def make_sampler(seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's multivariate TPE; workers that sample at the same time keep apart (constant liar)."""
    import optuna

    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)


def make_pruner(warmup_epochs: int) -> optuna.pruners.BasePruner:
    """Stop a trial that is below the median of the earlier ones at the same epoch."""
    import optuna

    return optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=warmup_epochs)


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that this process works on, and the lock that says so to others."""

    trial: optuna.Trial
    folder: Path
    resumed: bool
    lock: OnlyOne


class Study:
    """The trials of one study and the rules by which workers take them."""

    def __init__(self, request: StudyRequest, identity: StudyIdentity, worker: int = 0) -> None:
        self.request = request
        self.identity = identity
        self.name = request.study or identity.name
        self.folder = request.home / "studies" / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._worker = worker
        self._study: optuna.Study | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one command that runs this study. Raises UserError while another one does."""
        lock = OnlyOne(self.folder / "study.lock")
        if not lock.take():
            raise UserError(
                f"study {self.name} is being run by another process; wait for it, or give this one a name "
                "of its own with --study"
            )
        try:
            _mend_journal(self.folder / "journal.log")
            yield
        finally:
            lock.give_back()

    @property
    def optuna_study(self) -> optuna.Study:
        """The study in Optuna's storage; `open` is called where it was not."""
        if self._study is None:
            self.open()
        assert self._study is not None
        return self._study

    def open(self) -> None:
        """Read the study, or make it.

        Raises StudyMismatch when a study of this name is of something else.
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
            sampler=make_sampler(self.request.seed + 1000 * self._worker),
            pruner=make_pruner(self.request.spec.search.warmup_epochs),
        )
        self._check_identity(study)
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
                f"{part} {str(kept.get(part))[:12]} there, {value[:12]} here"
                for part, value in wanted.items()
                if kept.get(part) != value
            )
            raise StudyMismatch(
                f"study {self.name} is of something else ({differing}); choose another name with --study, "
                "or leave it out"
            )

    def ensure_recipe_trial(self) -> None:
        """Put the recipe in the queue unless a trial of it is there that did not fail."""
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
        """How many trials have failed so far."""
        import optuna

        return len(self.optuna_study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.FAIL,)))

    def claim(self, budget: int, forgiven: int) -> Claim | None:
        """Take the next trial: first one that a dead worker left, then a new one while the study holds fewer
        than `budget`. None when there is nothing left to do.

        forgiven: trials that failed before this command began; a new call may try as often again.
        """
        import optuna

        with only_one(self.folder / "claim.lock"):
            trials = self.optuna_study.get_trials(deepcopy=False)
            for frozen in trials:
                if frozen.state == optuna.trial.TrialState.RUNNING:
                    lock = self.trial_lock(frozen.number)
                    if lock.take():
                        trial = optuna.trial.Trial(self.optuna_study, frozen._trial_id)
                        return self._claimed(trial, lock, resumed=True)
            started = sum(frozen.state != optuna.trial.TrialState.WAITING for frozen in trials)
            if started - forgiven >= budget:
                return None
            trial = self.optuna_study.ask()
            lock = self.trial_lock(trial.number)
            if not lock.take():
                raise UserError(
                    f"{self.trial_folder(trial.number)} is in use; give another name with --study"
                )
            return self._claimed(trial, lock, resumed=False)

    def _claimed(self, trial: optuna.Trial, lock: OnlyOne, *, resumed: bool) -> Claim:
        trial.set_user_attr("pid", os.getpid())
        return Claim(trial, self.trial_folder(trial.number), resumed, lock)

    def trial_folder(self, number: int) -> Path:
        folder = self.folder / f"trial-{number:03d}"
        folder.mkdir(exist_ok=True)
        return folder

    def trial_lock(self, number: int) -> OnlyOne:
        """Held by whoever works on the trial."""
        return OnlyOne(self.trial_folder(number) / "lock")

    def trial_key(self, number: int) -> str:
        """The key of a trial's run in the outbox; the same after any number of restarts."""
        return f"{self.key}/trial-{number:03d}"

    @property
    def key(self) -> str:
        return f"{self.name}@{self.identity.data_digest[:8]}{self.identity.space_digest[:8]}"


def _mend_journal(journal: Path) -> None:
    """Cut off a last line that a kill left unfinished: never acknowledged, it would spoil the next one."""
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
