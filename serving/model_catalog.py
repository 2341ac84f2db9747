"""The models of one server: they come, go and get labels while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from serving.errors import Code, ServingError
from serving.model_config import ModelSettings
from serving.model_store import ModelStore
from serving.version_states import HeldVersion
from serving.versions import VersionPolicy

LOG = logging.getLogger("aisle.serving")


def plain_store(settings: ModelSettings) -> ModelStore:
    """Makes a store with nothing but what a configuration says."""
    return ModelStore(settings.name, settings.base_path, policy=settings.policy)


class ModelCatalog:
    """Finds the version that a request means, among models that may change.

    Args:
      stores: the models at the start.
      make_store: makes the store of a model that a configuration brings.
      labels_ahead: whether a new label may name a version that does not answer yet.
      on_change: called when a version answers, answers no more, or does not load.
    """

    def __init__(
        self,
        stores: Iterable[ModelStore] = (),
        *,
        make_store: Callable[[ModelSettings], ModelStore] = plain_store,
        labels_ahead: bool = False,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        # Replaced as a whole, never changed: calls look into it without a lock.
        self.stores: Mapping[str, ModelStore] = {store.name: store for store in stores}
        self.labels: Mapping[str, Mapping[str, int]] = {}
        self.on_change = on_change
        self._make_store = make_store
        self._labels_ahead = labels_ahead
        self._started = False
        self._was_ready = False
        self._reloading = threading.Lock()
        self._leaving: list[threading.Thread] = []

    def start(self) -> None:
        """Loads what is there; from now on new versions are loaded in the background. A second time it does nothing."""
        with self._reloading:
            if self._started:
                return
            self._started = True
            for store in self.stores.values():
                self._start(store)

    def stop(self) -> None:
        """Ends the calls that are still under way and frees every model."""
        with self._reloading:
            for store in self.stores.values():
                self._stop(store, cancel=True)
            for thread in self._leaving:
                thread.join()

    def ready(self) -> bool:
        """Returns whether each model has had a version that answers, warmed up, and some have one now.

        So a model that comes later and does not load takes no clients from the others.
        """
        answering = [bool(store.available()) for store in self.stores.values()]
        self._was_ready = self._was_ready or (bool(answering) and all(answering))
        return self._was_ready and any(answering)

    def reload(self, models: Sequence[ModelSettings]) -> None:
        """Serves exactly these models from now on. Versions that stay wanted go on answering meanwhile.

        What is new is loaded first, then the labels move, then what is wanted no more goes: a label always names a
        version that answers.

        Args:
          models: all of them.

        Raises:
          ServingError: FAILED_PRECONDITION if a label names a version that does not answer; what was served of the
            models that stay is served on, by the same labels.
        """
        with self._reloading:
            old, new = self.stores, {}
            policies = {store: store.policy for store in old.values()}
            for settings in models:
                store = old.get(settings.name)
                if store is None or store.base_path != settings.base_path:
                    store = self._make_store(settings)
                    if self._started:
                        self._start(store)
                elif store.policy != settings.policy:
                    store.obey(settings.policy.keeping(store.available()))
                new[settings.name] = store
            self.stores = new
            self._let_go(store for name, store in old.items() if new.get(name) is not store)
            try:
                self._set_labels(models)
            except ServingError:
                self._narrow((store, policy) for store, policy in policies.items() if new.get(store.name) is store)
                raise
            self._narrow((new[settings.name], settings.policy) for settings in models)
        self.on_change()

    def use(self, spec: Any) -> HeldVersion:
        """Holds the version that a ModelSpec means while a call runs, as `ModelStore.use` does.

        Raises:
          ServingError: as the stock server, if there is none.
        """
        if not spec.name:
            raise ServingError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        version = self._meant_by(spec)
        store = self.stores.get(spec.name)
        if store is None:
            wanted = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")
        try:
            return store.use(version)
        except ServingError:
            # The label may have moved, and the version gone, since the label was looked up.
            moved = self._meant_by(spec)
            if moved == version:
                raise
            return store.use(moved)

    def _meant_by(self, spec: Any) -> int | None:
        choice = spec.WhichOneof("version_choice")
        if choice != "version_label":
            return spec.version.value if choice == "version" else None
        version = self.labels.get(spec.name, {}).get(spec.version_label)
        if version is None:
            raise ServingError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}")
        return version

    def _let_go(self, stores: Iterable[ModelStore]) -> None:
        """Stops models that are served no more once their calls have ended, without waiting for that."""
        for store in stores:
            LOG.info("%s is served no more from %s", store.name, store.base_path)
            thread = threading.Thread(target=self._stop, args=[store], name=f"end of {store.name}", daemon=True)
            thread.start()
            self._leaving.append(thread)
        self._leaving = [thread for thread in self._leaving if thread.is_alive()]

    def _set_labels(self, models: Sequence[ModelSettings]) -> None:
        for settings in models:
            available = self.stores[settings.name].available()
            for label, version in settings.labels.items():
                known = self.labels.get(settings.name, {}).get(label, version)
                if version not in available and not (self._labels_ahead and known == version):
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {settings.name}, which is not "
                        "currently available for inference",
                    )
        self.labels = {settings.name: dict(settings.labels) for settings in models}

    def _narrow(self, wanted: Iterable[tuple[ModelStore, VersionPolicy]]) -> None:
        for store, policy in wanted:
            if store.policy != policy:
                store.obey(policy)

    def _start(self, store: ModelStore) -> None:
        store.on_change = lambda _store: self.on_change()
        store.start()

    def _stop(self, store: ModelStore, *, cancel: bool = False) -> None:
        store.on_change = lambda _store: None
        store.stop(cancel=cancel)
