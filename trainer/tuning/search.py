"""The entry point that TFX's Tuner calls, and the tuner that it gets."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from tfx.components.tuner.component import TunerFnResult

from pipeline.config import Config, parse_config
from trainer.cluster import Workers
from trainer.job import TrainingJob, read_job
from trainer.tuning import board, settings
from trainer.tuning.space import DefaultFirstOracle

_LOG = logging.getLogger(__name__)
_PROJECT, _BOARD = "tuner", "board"


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """Makes the tuner of a shop.

    Args:
      fn_args: TFX's arguments. `custom_config` holds what `trainer.run.run_fn` finds there, and `board`, the folder
        for TensorBoard.

    Returns:
      The tuner; its search needs no further arguments.

    Raises:
      ValueError: if the validation window holds no case to judge trials by.
    """
    custom, working = fn_args.custom_config, Path(fn_args.working_dir)
    config = parse_config(json.loads(custom["config"]))
    scratch = working / "columns"
    scratch.mkdir(parents=True, exist_ok=True)
    # Two fields that TFX fills for its Trainer only. Curves of trials go to their own board.
    fn_args.transform_output = fn_args.transform_graph_path
    fn_args.model_run_dir = str(working / "curves")
    job = read_job(fn_args, config, scratch, Workers())
    return TunerFnResult(tuner=TowerTuner(job, Path(custom["board"])), fit_kwargs={})


class TowerTuner(BaseTuner):
    """Trains the towers once for each trial and judges them by the gate's metric on the validation window.

    A search that was killed goes on in the epoch where it was. No model of a trial is kept.

    Args:
      job: what to learn from; its configuration says what to try.
      board_folder: where TensorBoard finds the trials.

    Raises:
      ValueError: if the validation window holds no case.
    """

    def __init__(self, job: TrainingJob, board_folder: Path) -> None:
        if job.cases is None:
            raise ValueError(
                f"the validation window has no {job.config.gate.task} case with a known item, so trials cannot be "
                "judged: check split.validation_days and split.truth_events, or set tuner.trials to 0"
            )
        self._job = job
        self._metric = job.config.gate.metric
        self._board_folder = board_folder
        super().__init__(DefaultFirstOracle(job.config), directory=str(job.checkpoints), project_name=_PROJECT)
        self.oracle.verbose = 0

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Trains with a trial's values and answers the best validation metric."""
        values = trial.hyperparameters.values
        name = f"trial-{trial.trial_id}"
        _LOG.info("%s of %d: %s", name, self.oracle.max_trials, settings.in_words(values))
        folder = self._job.checkpoints / name
        trained = replace(self._job, config=self.configuration(values), checkpoints=folder).train(name)
        board.write_trial(self._own_board, name, values, self._metric, trained.progress)
        assert trained.progress.best_metric is not None
        return {self._metric: trained.progress.best_metric}

    def configuration(self, values: dict[str, Any]) -> Config:
        """Answers what a trial with these values trains by."""
        config = self._job.config
        tuner, training = config.tuner, config.training
        limits = {
            "training.epochs": tuner.epochs or training.epochs,
            "training.max_examples": tuner.max_examples or training.max_examples,
        }
        return settings.with_values(config, {**limits, **values})

    def on_search_begin(self) -> None:
        """Shows the trials of a search that goes on."""
        if not self._own_board.is_dir():
            board.write_space(self._own_board, self.oracle.get_space(), self._metric)
        self._show()

    def on_trial_end(self, trial: Trial) -> None:
        """Keeps what was measured, and nothing else.

        Raises:
          RuntimeError: naming the values, if the trial has failed.
        """
        if trial.status != TrialStatus.COMPLETED:
            _LOG.error("trial-%s failed:\n%s", trial.trial_id, trial.message)
            reason = (trial.message or "no reason given").strip().splitlines()[-1]
            raise RuntimeError(
                f"trial-{trial.trial_id} failed with {settings.in_words(trial.hyperparameters.values)}: {reason}; if "
                "it is these values that cannot be trained, leave them out of the section 'tuner'"
            )
        super().on_trial_end(trial)
        shutil.rmtree(self._job.checkpoints / f"trial-{trial.trial_id}", ignore_errors=True)
        self._show()

    def on_search_end(self) -> None:
        """Removes what only a killed search would need."""
        shutil.rmtree(self._job.checkpoints, ignore_errors=True)

    def results_summary(self, num_trials: int = 10) -> None:
        """Logs the best trials."""
        for trial in self.oracle.get_best_trials(num_trials):
            values = settings.in_words(trial.hyperparameters.values)
            _LOG.info("trial-%s: %s=%.6g with %s", trial.trial_id, self._metric, trial.score, values)

    @property
    def _own_board(self) -> Path:
        """Where boards outlive a killed search, whose outputs the pipeline throws away."""
        return self._job.checkpoints / _PROJECT / _BOARD

    def _show(self) -> None:
        shutil.copytree(self._own_board, self._board_folder, dirs_exist_ok=True)
