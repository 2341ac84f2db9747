"""The tuner on the planted shop: what it tries, what it keeps, and that it goes on where it was killed."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras_tuner.engine.trial import Trial
from planted import HISTORY, SIZES, PlantedShop, planted_config, planted_phase, planted_shop, save_word_bag
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from pipeline.config import Config, ConfigError, parse_config
from trainer.checkpoints import Checkpoint
from trainer.cluster import Workers
from trainer.job import TrainingJob
from trainer.tuning import settings
from trainer.tuning.search import TowerTuner
from trainer.tuning.space import DefaultFirstOracle, search_space

TRIALS = 3
TUNER = {"trials": TRIALS, "dimensions": [8], "history_lengths": [2, HISTORY + 1], "learning_rate": [0.001, 0.005]}


class KilledError(BaseException):
    """Stands for the end of the process."""


def _job(shop: PlantedShop, config: Config, folder: Path) -> TrainingJob:
    arguments = SimpleNamespace(custom_config={"cache": str(folder / "cache")}, model_run_dir=str(folder / "curves"))
    return TrainingJob(
        config=config,
        catalogue=shop.catalogue,
        examples=shop.examples,
        cases=shop.cases,
        has_test_window=False,
        sizes=SIZES,
        checkpoints=folder / "checkpoints" / "these",
        fn_args=arguments,
        cluster=Workers(),
    )


def _kill_in_the_second_trial(patched: pytest.MonkeyPatch, saves: int) -> None:
    save, left = Checkpoint.save, [saves]

    def kill(checkpoint: Checkpoint, *state: Any) -> None:
        save(checkpoint, *state)
        left[0] -= 1
        if not left[0]:
            raise KilledError

    patched.setattr(Checkpoint, "save", kill)


@dataclasses.dataclass
class Searched:
    """A search that was killed in its second trial, and went on."""

    config: Config
    shop: PlantedShop
    trials: list[Trial]
    folder: Path


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    encoder = save_word_bag(tmp_path_factory.mktemp("encoder"))
    return planted_config(encoder, training={"epochs": 2}, tuner=TUNER)


@pytest.fixture(scope="module")
def searched(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder, shop = tmp_path_factory.mktemp("search"), planted_shop(600)
    with pytest.MonkeyPatch.context() as patched:
        _kill_in_the_second_trial(patched, config.training.epochs + 1)
        with pytest.raises(KilledError):
            TowerTuner(_job(shop, config, folder), folder / "lost").search()
    tuner = TowerTuner(_job(shop, config, folder), folder / "board")
    assert tuner.remaining_trials == TRIALS - 2
    tuner.search()
    return Searched(config, shop, tuner.oracle.get_best_trials(TRIALS), folder)


def _drawn(config: Config, folder: Path) -> list[dict[str, Any]]:
    oracle = DefaultFirstOracle(config)
    oracle._set_project_dir(str(folder), "drawn")
    return [oracle.create_trial(f"tuner{number}").hyperparameters.values for number in range(config.tuner.trials)]


def test_the_seed_says_what_is_tried_and_the_own_values_come_first(config: Config, tmp_path: Path) -> None:
    values = _drawn(config, tmp_path)
    assert values == _drawn(config, tmp_path)
    assert values[0] == settings.own_values(config)
    assert values[0] not in values[1:]
    other = settings.with_values(config, {"seed": 8})
    assert _drawn(other, tmp_path)[0] == values[0]
    assert _drawn(other, tmp_path)[1:] != values[1:]
    first = settings.with_values(config, {"seed": 0})
    assert _drawn(first, tmp_path) == _drawn(first, tmp_path)


def test_the_space_holds_the_configurations_own_values_and_no_longer_histories(config: Config) -> None:
    space = {part.name: part for part in search_space(config).space}
    assert space[settings.DIMENSION].values == [8, 16]
    assert space[settings.HISTORY_USED].values == [2, HISTORY]
    assert (space[settings.LEARNING_RATE].min_value, space[settings.LEARNING_RATE].max_value) == (0.001, 0.01)
    assert {key: part.default for key, part in space.items()} == settings.own_values(config)


def test_values_are_merged_into_the_configuration(config: Config) -> None:
    merged = settings.with_values(config, {"model.dimension": 8, "features.history.used": 2, "model.dropout": 0.4})
    assert (merged.model.dimension, merged.features.history.used, merged.model.dropout) == (8, 2, 0.4)
    assert merged.features.history.length == HISTORY
    assert settings.with_values(config, {}) == config
    with pytest.raises(ConfigError, match=r"tuned values.*features\.history"):
        settings.with_values(config, {"features.history.used": HISTORY + 1})


def test_the_best_trial_is_never_worse_than_the_configuration_as_it_is(searched: Searched, tmp_path: Path) -> None:
    default = planted_phase(searched.shop, searched.config, tmp_path).run()
    own, *_ = sorted(searched.trials, key=lambda trial: trial.trial_id)
    assert own.hyperparameters.values == settings.own_values(searched.config)
    assert own.score == default.progress.best_metric
    assert len(searched.trials) == TRIALS
    assert searched.trials[0].score == max(trial.score for trial in searched.trials) >= own.score


def test_a_shorter_history_is_the_newest_events(config: Config, tmp_path: Path) -> None:
    shop = planted_shop(60)
    shorter = settings.with_values(config, {settings.HISTORY_USED: 2, "training.epochs": 1})
    trained = planted_phase(shop, shorter, tmp_path).run()
    assert shop.cases is not None
    features = {name: tf.constant(values) for name, values in shop.cases.features.items()}
    text, vectors = tf.zeros([len(shop.cases), 24]), tf.constant(trained.item_vectors)
    rows = shop.cases.history_rows
    asked = trained.model.query_vectors(features, tf.constant(rows), text, vectors)
    for column, same in ((1, False), (2, True)):
        other = rows.copy()
        other[:, column] = 1 + (other[:, column] + 7) % len(shop.catalogue)
        again = trained.model.query_vectors(features, tf.constant(other), text, vectors)
        assert np.array_equal(asked, again) == same


def test_ties_go_to_the_configuration_as_it_is(config: Config) -> None:
    oracle = DefaultFirstOracle(config)
    for name, score in (("2", 0.5), ("1", 0.5), ("0", 0.5), ("3", 0.4)):
        trial = Trial(oracle.get_space(), trial_id=name, status="COMPLETED")
        trial.score = score
        oracle.trials[name] = trial
    assert [trial.trial_id for trial in oracle.get_best_trials(4)] == ["0", "1", "2", "3"]


def test_a_killed_search_tries_what_it_would_have_tried_and_leaves_nothing(searched: Searched, tmp_path: Path) -> None:
    tried = [trial.hyperparameters.values for trial in sorted(searched.trials, key=lambda trial: trial.trial_id)]
    assert tried == _drawn(searched.config, tmp_path)
    assert not list((searched.folder / "checkpoints").rglob("*.npz"))
    assert not (searched.folder / "checkpoints" / "these").exists()


def test_tensorboard_finds_each_trial_with_its_values_and_its_result(searched: Searched) -> None:
    content = _events(searched.folder / "board").SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    told = metadata.parse_experiment_plugin_data(content)
    assert {info.name for info in told.hparam_infos} == set(settings.own_values(searched.config))
    assert [info.name.tag for info in told.metric_infos] == ["best/ndcg@10"]
    for trial in searched.trials:
        events = _events(searched.folder / "board" / f"trial-{trial.trial_id}")
        content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        started = metadata.parse_session_start_info_plugin_data(content)
        assert {key: value.number_value for key, value in started.hparams.items()} == trial.hyperparameters.values
        content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
        assert metadata.parse_session_end_info_plugin_data(content).status == api_pb2.STATUS_SUCCESS
        (result,) = events.Tensors("best/ndcg@10")
        assert result.tensor_proto.float_val[0] == pytest.approx(trial.score)
        assert len(events.Tensors("validation/ndcg@10")) == 1 + searched.config.training.epochs


def _events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def test_a_trial_trains_as_the_section_says(config: Config, tmp_path: Path) -> None:
    given = settings.with_values(config, {"tuner.epochs": 1, "tuner.max_examples": 50})
    tuner = TowerTuner(_job(planted_shop(60), given, tmp_path), tmp_path / "board")
    trained_by = tuner.configuration({"model.dimension": 8})
    assert (trained_by.training.epochs, trained_by.training.max_examples, trained_by.model.dimension) == (1, 50, 8)


def test_a_trial_that_fails_names_its_values(config: Config, tmp_path: Path) -> None:
    shop = planted_shop(60)
    nothing = dataclasses.replace(shop, examples=shop.examples.newest(0))
    tuner = TowerTuner(_job(nothing, config, tmp_path), tmp_path / "board")
    with pytest.raises(RuntimeError, match=r"trial-0 failed with .*model\.dimension=16.*no training example"):
        tuner.search()


def test_without_validation_cases_nothing_can_be_tuned(config: Config, tmp_path: Path) -> None:
    blind = dataclasses.replace(planted_shop(60), cases=None)
    with pytest.raises(ValueError, match="validation window"):
        TowerTuner(_job(blind, config, tmp_path), tmp_path / "board")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"learning_rate": [0.1, 0.01]}, "lowest rate"),
        ({"learning_rate": [0, 0.01]}, r"tuner\.learning_rate"),
        ({"dropouts": [1.0]}, r"tuner\.dropouts"),
        ({"trials": -1}, r"tuner\.trials"),
    ],
)
def test_wrong_settings_are_refused(config: Config, section: dict[str, Any], message: str) -> None:
    tree = json.loads(config.model_dump_json())
    with pytest.raises(ConfigError, match=message):
        parse_config({**tree, "tuner": section})
