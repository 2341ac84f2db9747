"""The loaded versions of one model: new ones take over while the server runs, none is dropped mid-call."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from serving import warmup
from serving.border import LoopBorder
from serving.errors import Code, ServingError
from serving.memory import return_memory
from serving.predictor import LoadError, Predictor
from serving.version_states import AVAILABLE, END, LOADING, START, UNLOADING, HeldVersion, Version, VersionStatus
from serving.versions import VersionPolicy, fingerprint, latest, list_versions

LOG = logging.getLogger("aisle.serving")
MAX_RETRY_PAUSE_S = 60.0


class ModelStore:
    """Keeps the wanted versions of one model loaded.

    Args:
      name: the model's name in requests.
      base_path: the folder that holds one folder a version.
      policy: which versions are wanted; `obey` changes it.
      poll_interval_s: pause between two looks at the folder; 0 looks once.
      threads: how many threads one call may use; 0 leaves it to TensorFlow.
      warm: whether a version's warm-up requests are run before it answers.
      on_change: called, with this store, when a version answers, answers no more, or does not load.
    """

    def __init__(
        self,
        name: str,
        base_path: Path,
        *,
        policy: VersionPolicy | None = None,
        poll_interval_s: float = 1.0,
        threads: int = 0,
        warm: bool = True,
        on_change: Callable[[ModelStore], None] = lambda _store: None,
    ) -> None:
        self.name = name
        self.base_path = base_path
        self.failed_loads = 0  # tries so far
        self.on_change = on_change
        self.policy = policy or latest()
        self._poll_interval_s = poll_interval_s
        self._threads = threads
        self._warm = warm
        self._versions: dict[int, Version] = {}
        self._polling = threading.Lock()
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._stopping = False
        self._silenced = ""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Looks at the folder once, loading what is there, then keeps looking in the background."""
        self.poll()
        self._thread = threading.Thread(target=self._watch, name=f"versions of {self.name}", daemon=True)
        self._thread.start()

    def stop(self, *, cancel: bool = False) -> None:
        """Ends the watch and frees every version once its calls have ended; with `cancel` these end now."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        for version in list(self._versions.values()):
            if version.state == AVAILABLE:
                self._retire(version)
        with self._changed:
            if cancel:
                for version in self._versions.values():
                    if version.calls and version.predictor is not None:
                        version.predictor.cancel()
            self._changed.wait_for(lambda: all(version.calls == 0 for version in self._versions.values()))
        self._free_retired()

    def use(self, version: int | None = None) -> HeldVersion:
        """Holds a version while a call runs; it is not freed before.

        Args:
          version: the version wanted; None means the highest that is available.

        Returns:
          What gives the version's number and its predictor to a `with` statement, at whose end the version is let go.

        Raises:
          ServingError: NOT_FOUND, in TensorFlow Serving's words.
        """
        with self._changed:
            held = self._find(version)
            held.calls += 1
        return HeldVersion(held, self._let_go)

    def statuses(self) -> list[VersionStatus]:
        """Returns the state of every version seen so far, highest first."""
        with self._changed:
            known = sorted(self._versions.values(), key=lambda version: -version.number)
            return [
                VersionStatus(known.number, known.state, Code.UNKNOWN if known.error else Code.OK, known.error)
                for known in known
            ]

    def available(self) -> list[int]:
        """Returns the versions that answer now, highest first."""
        return [status.version for status in self.statuses() if status.state == AVAILABLE]

    def wait_available(self, timeout_s: float) -> bool:
        """Waits until a version answers; returns whether one does."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.available()), timeout_s)

    def poll(self) -> None:
        """Looks at the folder once: loads what is wanted and new, then retires what is wanted no more."""
        with self._polling:
            try:
                found = list_versions(self.base_path)
            except OSError as error:
                self._say_once(f"{self.base_path}: cannot be listed ({error.strerror}); what is loaded stays")
                found = {}
            if found:
                self._load_wanted(found)
            elif not self.available():
                self._say_once(f"{self.base_path}: holds no version yet (a folder with a number as its name); waiting")
            self._free_retired()

    def obey(self, policy: VersionPolicy) -> None:
        """Serves what another policy wants, from now on; returns once what is on disk was tried."""
        self.policy = policy
        self.poll()
        if any(status.state == START for status in self.statuses()):  # seen for the first time: maybe half a copy
            time.sleep(self._poll_interval_s or 1.0)
            self.poll()

    def _watch(self) -> None:
        border = LoopBorder(f"the watch of {self.name}")
        while not self._stopping:
            self._wake.wait(self._poll_interval_s or None)
            self._wake.clear()
            if not self._stopping:
                with border:
                    self.poll()

    def _load_wanted(self, found: Mapping[int, Path]) -> None:
        wanted = set(self.policy(list(found)))
        for number in sorted(wanted, reverse=True):
            self._try_load(number, found[number])
        if not self.available():
            # A restart beside a broken newest version: an older one that works is better than no answer.
            for number in found:
                if number not in wanted and self._try_load(number, found[number]):
                    break
        if wanted.intersection(self.available()):
            for version in list(self._versions.values()):
                if version.state == AVAILABLE and version.number not in wanted:
                    self._retire(version)

    def _try_load(self, number: int, folder: Path) -> bool:
        """Loads a version if it is not loaded and its time has come; returns whether it is available."""
        version = self._versions.get(number)
        if version is None or (version.state == END and not version.error):
            version = Version(number, folder)
        if version.state == UNLOADING:
            self._set_state(version, AVAILABLE)  # wanted again before its last call has ended
        if version.state == AVAILABLE:
            return True
        with self._changed:
            self._versions[number] = version
        if not self._is_due(version):
            return False
        self._set_state(version, LOADING)
        started_s = time.monotonic()
        try:
            predictor = Predictor(folder, self._threads)
            try:
                warmed = warmup.warm_up(predictor, folder) if self._warm else 0
            except ServingError as error:
                predictor.close()
                raise LoadError(f"{folder}: a warm-up request failed: {error}") from error
        except LoadError as error:
            self._note_failure(version, str(error))
            return False
        with self._changed:
            version.predictor, version.error, version.failures = predictor, "", 0
        self._set_state(version, AVAILABLE)
        seconds = time.monotonic() - started_s
        LOG.info("%s version %d answers now (%.1f s, %d warm-up requests)", self.name, number, seconds, warmed)
        return True

    def _is_due(self, version: Version) -> bool:
        """Whether to try now: the folder has stopped changing, and a failure's pause is over or it has changed."""
        try:
            now = fingerprint(version.folder)
        except OSError:
            return False
        settled = now == version.seen or not self.available()
        version.seen = now
        rested = version.failures == 0 or now != version.tried or time.monotonic() >= version.retry_at_s
        if settled and rested:
            version.tried = now
            return True
        return False

    def _note_failure(self, version: Version, message: str) -> None:
        self.failed_loads += 1
        version.failures += 1
        pause_s = min(2.0 ** (version.failures - 1), MAX_RETRY_PAUSE_S)
        version.retry_at_s = time.monotonic() + pause_s
        # Clients are told why, but not where the models lie.
        version.error = message.replace(f"{self.base_path}/", "")
        self._set_state(version, END)
        self.on_change(self)
        stays = ", ".join(str(number) for number in self.available()) or "none"
        LOG.error(
            "%s version %d cannot be served, tried again in %.0f s (answering: %s): %s",
            self.name,
            version.number,
            pause_s,
            stays,
            message,
        )

    def _retire(self, version: Version) -> None:
        self._set_state(version, UNLOADING)
        LOG.info("%s version %d is retired; %d calls under way", self.name, version.number, version.calls)

    def _free_retired(self) -> None:
        freed = False
        for version in list(self._versions.values()):
            if version.state == UNLOADING and version.calls == 0:
                predictor, version.predictor = version.predictor, None
                if predictor is not None:
                    predictor.close()
                self._set_state(version, END)
                freed = True
        if freed:
            return_memory()

    def _let_go(self, version: Version) -> None:
        with self._changed:
            version.calls -= 1
            if version.calls == 0 and version.state == UNLOADING:
                self._changed.notify_all()
                self._wake.set()

    def _find(self, number: int | None) -> Version:
        if number is not None:
            version = self._versions.get(number)
            if version is not None and version.state == AVAILABLE:
                return version
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: Specific({self.name}, {number})")
        available = [version for version in self._versions.values() if version.state == AVAILABLE]
        if not available:
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: Latest({self.name})")
        return max(available, key=lambda version: version.number)

    def _set_state(self, version: Version, state: int) -> None:
        with self._changed:
            changed = AVAILABLE in (version.state, state)
            version.state = state
            self._changed.notify_all()
        if changed:
            self.on_change(self)

    def _say_once(self, message: str) -> None:
        if message != self._silenced:
            LOG.warning(message)
            self._silenced = message
