"""What happens to models on disk while clients ask: no call fails, no answer is wrong, the last good model goes on."""

import functools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import waiting
from tiny_models import request, save_half_plus, write_warmup

from serving.client import Client, Code, GrpcTransport, ServingError
from serving.model_store import ModelStore
from serving.server import Server

POLL_S = 0.02
eventually = functools.partial(waiting.eventually, timeout_s=30.0)
ONE = np.ones(1, np.float32)
ANSWERS = "predictions"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole models: 1 and 2, which add that number, with a warm-up request."""
    folder = tmp_path_factory.mktemp("finished")
    for number in (1, 2):
        save_half_plus(folder / str(number), float(number))
        write_warmup(folder / str(number), [request("m", "", x=ONE)])
    return folder


class Load:
    """A client that asks all the time. Its answers are 1.5 from version 1 and 2.5 from any other."""

    def __init__(self, ask: Callable[[], float]) -> None:
        self.answers: list[float] = []
        self.errors: list[Exception] = []
        self._ask = ask
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(self._ask())
            except (ServingError, httpx.HTTPError) as error:
                self.errors.append(error)


@contextmanager
def asking(server: Server, api: str) -> Iterator[Callable[[], float]]:
    if api == "gRPC":
        with Client(GrpcTransport(server.grpc_address), model_name="m", retries=0) as client:
            yield lambda: float(client.predict("", {"x": ONE})["y"][0])
    else:
        with httpx.Client(base_url=f"http://{server.rest_address}/v1/models", timeout=20) as http:
            yield lambda: float(http.post("/m:predict", json={"instances": [1]}).raise_for_status().json()[ANSWERS][0])


@contextmanager
def loaded(base_path: Path, api: str = "gRPC") -> Iterator[tuple[ModelStore, Load]]:
    """Serves what is there, under load; checks in the end that every call was answered well."""
    store = ModelStore("m", base_path, poll_interval_s=POLL_S)
    with Server([store]) as server, asking(server, api) as ask:
        load = Load(ask)
        try:
            yield store, load
        finally:
            load.end()
    assert load.errors == []
    assert len(load.answers) > 10
    assert set(load.answers) <= {1.5, 2.5}


@pytest.fixture
def base_path(tmp_path: Path, finished: Path) -> Path:
    shutil.copytree(finished / "1", tmp_path / "m/1")
    return tmp_path / "m"


def push(model: Path, base_path: Path, number: int, change: Callable[[Path], Any] = lambda _folder: None) -> Path:
    """Puts a version there in one step, as the pusher does."""
    folder = base_path / f".copying-{number}"
    shutil.copytree(model, folder)
    change(folder)
    return folder.rename(base_path / str(number))


def _data(folder: Path) -> Path:
    return next((folder / "variables").glob("variables.data-*"))


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "no saved_model.pb": lambda folder: (folder / "saved_model.pb").unlink(),
    "half a saved_model.pb": lambda folder: _halve(folder / "saved_model.pb"),
    "a corrupt saved_model.pb": lambda folder: (folder / "saved_model.pb").write_bytes(b"\x08\x01garbage"),
    "another file as saved_model.pb": lambda folder: (folder / "saved_model.pb").write_text("hello"),
    "no variables": lambda folder: shutil.rmtree(folder / "variables"),
    "no data of variables": lambda folder: _data(folder).unlink(),
    "half the data of variables": lambda folder: _halve(_data(folder)),
    "no index of variables": lambda folder: (folder / "variables/variables.index").unlink(),
    "a warm-up that fails": lambda folder: write_warmup(folder, [request("m", "refuse", x=ONE)]),
    "half a warm-up": lambda folder: _halve(folder / "assets.extra/tf_serving_warmup_requests"),
}


def _halve(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_damaged_versions_never_answer_and_a_whole_one_does(base_path: Path, finished: Path) -> None:
    with loaded(base_path) as (store, load):
        for number, (name, change) in enumerate(DAMAGES.items(), 2):
            push(finished / "2", base_path, number, change)
            eventually(lambda number=number: _failed(store, number))
            assert store.available() == [1], name
        assert set(load.answers) == {1.5}
        push(finished / "2", base_path, len(DAMAGES) + 2)
        eventually(lambda: 2.5 in load.answers)
    for status in store.statuses():
        assert str(base_path) not in status.message


def _failed(store: ModelStore, number: int) -> bool:
    return any(status.version == number and status.code != Code.OK for status in store.statuses())


def test_a_copy_under_way_is_not_served_before_its_end(base_path: Path, finished: Path) -> None:
    with loaded(base_path) as (store, load):
        for file in sorted(path for path in (finished / "2").rglob("*") if path.is_file()):
            assert store.available() == [1]
            target = base_path / "2" / file.relative_to(finished / "2")
            target.parent.mkdir(parents=True, exist_ok=True)
            content = file.read_bytes()
            for end in (len(content) // 2, len(content)):
                target.write_bytes(content[:end])
                time.sleep(3 * POLL_S)
        eventually(lambda: 2.5 in load.answers)
    assert load.answers == sorted(load.answers)


def test_a_folder_that_goes_and_comes_back(base_path: Path, finished: Path) -> None:
    away = base_path.with_name("away")
    with loaded(base_path) as (store, load):
        base_path.rename(away)
        asked = len(load.answers)
        time.sleep(5 * POLL_S)
        eventually(lambda: len(load.answers) > asked + 10)
        assert store.available() == [1]
        base_path.write_text("a file in its place")
        time.sleep(5 * POLL_S)
        assert store.available() == [1]
        base_path.unlink()
        away.rename(base_path)
        push(finished / "2", base_path, 2)
        eventually(lambda: 2.5 in load.answers)


def test_a_version_whose_files_vanish_while_it_answers(base_path: Path) -> None:
    with loaded(base_path) as (store, load):
        shutil.rmtree(base_path / "1")
        asked = len(load.answers)
        eventually(lambda: len(load.answers) > asked + 10)
        assert store.available() == [1]


@pytest.mark.parametrize("jump_s", [3600 * 24 * 400, -3600 * 24 * 400])
def test_a_clock_that_jumps(base_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    # Over REST, where no C code looks at the true clock beside ours.
    real = time.time
    with loaded(base_path, "REST") as (_store, load):
        eventually(lambda: len(load.answers) > 5)
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        push(finished / "2", base_path, 2)
        eventually(lambda: 2.5 in load.answers)
        monkeypatch.undo()
        asked = len(load.answers)
        eventually(lambda: len(load.answers) > asked + 10)
