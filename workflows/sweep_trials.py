"""The trials of a sweep: asks for settings, has them fitted, tells what they came to."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..cache.checkpoints import Checkpoint, load
from ..cache.corpus import Corpus
from ..cache.errors import AffectflowError, BadCall, CacheError, TrainingError
from ..cache.keys import canonical
from ..cache.labels import CLASSES
from ..cache.publish import make_folder, publish
from ..train.training import Training
from .assign import Assignment
from .nodes import Fit
from .pool import Answer, Pool, WorkerDied
from .result import Reporter, Run
from .search import Space, plain, suggest
from .sweep_study import (
    Pruned,
    TrialRow,
    TrialTask,
    again,
    close_study,
    finished,
    load_optuna,
    make_trial,
    open_study,
    rows,
)


def set_on(node: Any, settings: dict[str, Any]) -> Fit:
    """A fit with some settings of its model or its training changed."""
    assert isinstance(node, Fit)  # sweep has checked that
    of_training = {field.name for field in fields(Training)}
    of_model = {k: v for k, v in settings.items() if k not in of_training}
    rest = {k: v for k, v in settings.items() if k in of_training}
    return replace(
        node,
        settings=replace(node.settings, **of_model),
        training=replace(node.training, **rest),
    )


def without_test(corpus: Corpus) -> Corpus:
    """The corpus with its test utterances in no split and without a label."""
    frame = corpus.to_frame()
    rows_ = frame["split"] == "test"
    frame.loc[rows_, "split"] = ""
    for column in corpus.label_columns:
        frame.loc[rows_, column] = "" if column in CLASSES else float("nan")
    return Corpus.from_columns(
        frame,
        name=corpus.name,
        family=corpus.family,
        label_range=corpus.label_range,
        families=corpus.families,
    )


class Searcher:
    """One sweep: asks for settings, has them fitted, tells what they came to.

    Args:
        recipe: its name.
        fit: the node, as trials are to run it.
        space: what is searched.
        inputs: the run that made what the node reads.
        prune: whether trials may be ended early.
        seed: of the values that are drawn.
        reporter: hears of progress.
        options: of the run: device, allow_mixed.
    """

    def __init__(
        self,
        recipe: str,
        fit: Fit,
        space: Space,
        inputs: Run,
        prune: bool,
        seed: int,
        reporter: Reporter,
        options: dict[str, Any],
    ) -> None:
        self.fit, self.space, self.prune = fit, space, prune
        self.reporter = reporter
        waiting = [name for name in fit.inputs if not inputs.states[name].done]
        if waiting:
            why = "".join(f"; '{name}': {error}" for name, error in inputs.errors.items())
            raise TrainingError(
                f"'{fit.name}' cannot be searched: {', '.join(waiting)} is not done{why}"
            )
        assert inputs.board is not None  # that run is over
        self.board = board = copy(inputs.board)
        board.states = dict(board.states)
        board.corpus = without_test(board.corpus)
        self._assign = Assignment(
            board, "sweep", options.get("device", "cpu"), options.get("allow_mixed", False)
        )
        asked = [board.fit_description(fit), plain(space)]
        self.name = hashlib.sha256(canonical(asked)).hexdigest()[:16]
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in f"{recipe}-{fit.name}")
        self.file = Path(board.store.root).absolute() / "sweeps" / f"{stem[:80]}.sqlite"
        self._seed = seed
        self.rows: list[TrialRow] = []
        self.study: Any = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The study is open inside; one driver at a time has the node's sweeps.

        Raises:
            BadCall: another one has it.
        """
        make_folder(self.file.parent)
        lock = FileLock(f"{self.file}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BadCall(
                f"another sweep of '{self.fit.name}' runs on this store: wait for it, or stop it"
            ) from error
        with lock:
            lock.release()  # of the two acquisitions, the one above
            self.study = open_study(self.file, self.name, self.prune, self._seed)
            try:
                yield
            finally:
                close_study(self.study)

    def go(self, pool: Pool, trials: int, at_once: int) -> None:
        """Run trials until there are so many; what was running when a driver died comes first."""
        again(self.study)
        left = trials - finished(self.study)
        stage = f"sweep {self.fit.name}"
        self.reporter.start(stage, max(left, 0))
        flying: dict[int, Any] = {}
        while left > 0 or flying:
            while left > 0 and len(flying) < at_once and pool.room:
                left -= 1
                trial = self.study.ask()
                try:
                    task = self._task(trial)
                except BadCall as error:  # each value is fine, and they do not go together
                    self._failed(trial, error)
                    self.reporter.advance(stage, 1, 1)
                    continue
                if isinstance(task, Checkpoint):
                    self.study.tell(trial, error_of(task))
                    self.reporter.advance(stage, 1)
                else:
                    flying[trial._trial_id] = trial
                    pool.submit(make_trial, task)
            if flying:
                answer = pool.next()
                self._tell(flying.pop(answer.task.trial), answer)
                self.reporter.advance(stage, 1, int(answer.error is not None))
        self.rows = rows(self.study, self.space)

    def _task(self, trial: Any) -> TrialTask | Checkpoint:
        """What a worker is to fit; the checkpoint, where it was fitted before."""
        node = set_on(self.fit, suggest(trial, self.space))
        state = self.board.look(node)
        if state.checkpoint is not None:
            return state.checkpoint
        task = self._assign.fit(state, node)
        return TrialTask(task, str(self.file), self.name, trial._trial_id, self.prune)

    def _tell(self, trial: Any, answer: Answer) -> None:
        optuna = load_optuna()
        error = answer.error
        if isinstance(error, CacheError):
            raise error  # the trial is tried again once that is mended
        if error is not None:
            self._failed(trial, error)
            if not isinstance(error, AffectflowError | WorkerDied):
                raise error
        elif isinstance(answer.result, Pruned):
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            made = load(self.board.store.root, answer.task.fit.fingerprint)
            assert made is not None  # the worker has just published it
            self.study.tell(trial, error_of(made))

    def _failed(self, trial: Any, error: BaseException) -> None:
        self.reporter.note(f"trial {trial.number} failed: {error}")
        self.study.tell(trial, state=load_optuna().trial.TrialState.FAIL)

    def best(self) -> TrialRow:
        """The trial with the smallest validation error.

        Raises:
            TrainingError: none came to an end.
        """
        done = [row for row in self.rows if row.value is not None]
        if not done:
            raise TrainingError(
                f"none of {len(self.rows)} trials of '{self.fit.name}' came to an end; the notes "
                "above say why. Search smaller values of lr, or mend the fit first"
            )
        return min(done, key=lambda row: (row.value, row.number))

    def note_test(self, best: TrialRow) -> None:
        """Write down which setting the test split was looked at for; say if it was before."""
        folder = self.file.with_suffix("")
        seen = [json.loads(path.read_bytes()) for path in sorted(folder.glob("tested-*.json"))]
        record = {"study": self.name, "settings": best.settings}
        others = [one for one in seen if one != record]
        if others:
            self.reporter.note(
                f"the test split was looked at before for {len(others)} other setting(s) of "
                f"'{self.fit.name}': a choice among them is a choice on test"
            )
        if record not in seen:
            publish(folder / f"tested-{time.time_ns():020d}.json", json.dumps(record).encode())


def error_of(checkpoint: Checkpoint) -> float:
    """Mean over seeds of the validation error of the epoch that each one chose."""
    seeds = checkpoint.meta["seeds"]
    return float(sum(s["valid_metric"][s["best_epoch"] - 1] for s in seeds) / len(seeds))
