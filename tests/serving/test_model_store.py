"""Versions come and go on disk; whatever happens there, the last good one goes on answering."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_models import request, save_half_plus, save_shop, write_warmup
from waiting import eventually

from serving.errors import Code, ServingError
from serving.model_store import AVAILABLE, END, ModelStore
from serving.versions import latest, list_versions, specific

ONE = np.array([1.0], np.float32)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished models to copy from: 1, 2 and 3 add that number."""
    folder = tmp_path_factory.mktemp("finished")
    for number in (1, 2, 3):
        save_half_plus(folder / str(number), float(number))
    return folder


@pytest.fixture
def store(tmp_path: Path, versions: Path) -> Iterator[ModelStore]:
    shutil.copytree(versions / "1", tmp_path / "m" / "1")
    made = ModelStore("m", tmp_path / "m", poll_interval_s=0.02)
    yield made
    made.stop()


def ask(store: ModelStore, version: int | None = None) -> float:
    with store.use(version) as (_, predictor):
        return float(predictor.predict(predictor.signature(""), {"x": ONE})["y"][0])


def push(source: Path, store: ModelStore, number: int) -> None:
    """Copies beside, then renames, as the pusher does."""
    shutil.copytree(source, store.base_path / f".copying-{number}")
    (store.base_path / f".copying-{number}").rename(store.base_path / str(number))


def test_only_numbers_are_versions(tmp_path: Path) -> None:
    for name in ("1", "007", "1.5", "2x", ".copying-3", "-4", "9223372036854775808", "\uff19"):
        (tmp_path / name).mkdir()
    (tmp_path / "8").write_text("a file")
    assert list(list_versions(tmp_path)) == [7, 1]


def test_policies_choose() -> None:
    assert list(latest()([5, 4, 3])) == [5]
    assert list(latest(2)([5, 4, 3])) == [5, 4]
    assert list(specific(3, 9)([5, 4, 3])) == [3]


def test_newer_version_takes_over_and_the_older_is_freed(store: ModelStore, versions: Path) -> None:
    store.start()
    assert ask(store) == 1.5
    push(versions / "2", store, 2)
    eventually(lambda: ask(store) == 2.5)
    eventually(lambda: {status.version: status.state for status in store.statuses()} == {2: AVAILABLE, 1: END})
    with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(m, 1\)") as caught:
        ask(store, 1)
    assert caught.value.code == Code.NOT_FOUND


def test_calls_under_way_keep_their_version(store: ModelStore, versions: Path) -> None:
    store.start()
    with store.use() as (number, predictor):
        push(versions / "2", store, 2)
        eventually(lambda: store.available() == [2])
        time.sleep(0.1)
        assert number == 1
        assert float(predictor.predict(predictor.signature(""), {"x": ONE})["y"][0]) == 1.5
    eventually(lambda: [status.state for status in store.statuses()] == [AVAILABLE, END])


def test_swaps_under_load_fail_nobody(store: ModelStore, versions: Path) -> None:
    store.start()
    stop, failures, answers = threading.Event(), [], []

    def load() -> None:
        while not stop.is_set():
            try:
                answers.append(ask(store))
            except ServingError as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 6):
        push(versions / str(number % 3 + 1), store, number)
        eventually(lambda number=number: store.available() == [number])
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(answers) > 100
    assert set(answers) == {1.5, 2.5, 3.5}


def test_half_copied_version_is_ignored_until_it_is_whole(store: ModelStore, versions: Path) -> None:
    store.start()
    (store.base_path / "2").mkdir()
    shutil.copy(versions / "2" / "saved_model.pb", store.base_path / "2")
    eventually(lambda: any(status.version == 2 and status.state == END for status in store.statuses()))
    assert ask(store) == 1.5
    assert "does not load" in store.statuses()[0].message
    assert str(store.base_path) not in store.statuses()[0].message  # clients read it
    shutil.copytree(versions / "2" / "variables", store.base_path / "2" / "variables")
    eventually(lambda: ask(store) == 2.5)
    assert store.statuses()[0].message == ""


def test_a_folder_that_still_changes_is_not_loaded(store: ModelStore, versions: Path) -> None:
    store.poll()
    shutil.copytree(versions / "2", store.base_path / "2")
    for round_ in range(3):
        (store.base_path / "2" / "assets.txt").write_text("x" * round_)
        store.poll()
        assert store.available() == [1]
    store.poll()
    assert store.available() == [2]


def test_corrupt_model_keeps_the_old_version(store: ModelStore, versions: Path) -> None:
    store.start()
    shutil.copytree(versions / "2", store.base_path / ".copying")
    (store.base_path / ".copying" / "saved_model.pb").write_bytes(b"\x08\x01garbage")
    (store.base_path / ".copying").rename(store.base_path / "2")
    eventually(lambda: store.statuses()[0].code != Code.OK)
    assert ask(store) == 1.5
    push(versions / "3", store, 3)
    eventually(lambda: ask(store) == 3.5)


def test_a_failing_warm_up_keeps_the_old_version(store: ModelStore, versions: Path) -> None:
    store.start()
    shutil.copytree(versions / "2", store.base_path / ".copying")
    write_warmup(store.base_path / ".copying", [request("m", "refuse", x=ONE)])
    (store.base_path / ".copying").rename(store.base_path / "2")
    eventually(lambda: "a warm-up request failed: INVALID_ARGUMENT" in store.statuses()[0].message)
    assert ask(store) == 1.5


def test_a_start_beside_a_broken_newest_version_serves_the_one_before(store: ModelStore) -> None:
    (store.base_path / "2").mkdir()
    store.start()
    assert ask(store) == 1.5
    assert [(status.version, status.state) for status in store.statuses()] == [(2, END), (1, AVAILABLE)]


def test_taking_the_newest_away_rolls_back(store: ModelStore, versions: Path) -> None:
    shutil.copytree(versions / "2", store.base_path / "2")
    store.start()
    assert ask(store) == 2.5
    shutil.rmtree(store.base_path / "2")
    eventually(lambda: ask(store) == 1.5)
    push(versions / "2", store, 2)
    eventually(lambda: ask(store) == 2.5)


def test_losing_the_folder_unloads_nothing(store: ModelStore) -> None:
    store.start()
    store.base_path.rename(store.base_path.with_name("gone"))
    time.sleep(0.1)
    assert ask(store) == 1.5
    store.base_path.with_name("gone").rename(store.base_path)
    (store.base_path / "1").rename(store.base_path / "not-now")
    time.sleep(0.1)
    assert ask(store) == 1.5


def test_an_empty_folder_is_waited_on(tmp_path: Path, versions: Path) -> None:
    store = ModelStore("m", tmp_path, poll_interval_s=0.02)
    store.start()
    with pytest.raises(ServingError, match=r"Servable not found for request: Latest\(m\)"):
        ask(store)
    assert not store.wait_available(0.05)
    push(versions / "1", store, 1)
    assert store.wait_available(20)
    store.stop()


def test_warm_up_requests_are_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_shop(tmp_path / "1")
    store = ModelStore("shop", tmp_path)
    with caplog.at_level("INFO", logger="aisle.serving"):
        store.poll()
    assert "1 warm-up requests" in caplog.text
    store.stop()
