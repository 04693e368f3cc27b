"""Every trained model as a numbered version, and which of them is used: save, promote, roll back, prune.

How a model is written and checked belongs to the store, where it lies to the layout, and whether a version is
good enough to be promoted to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from itb_assets.errors import InputError, ModelNotFound, ModelRejected, StorageError
from itb_assets.storage.disk.atomic import storage_errors
from itb_assets.storage.disk.folders import (
    link_files,
    recover_folder,
    recover_folders,
    remove_folder,
    replaced_folder,
)
from itb_assets.storage.layout import METADATA_FILE, MODEL_FILES, Layout, ModelAddress
from itb_assets.storage.models.events import EventLog, ModelEvent, in_utc
from itb_assets.storage.models.folder import ModelStore, StoredModel, check_identity
from itb_assets.storage.models.state import ModelState, read_state

KEPT_VERSIONS = 10
FEWEST_KEPT = 3
"""The promoted version, the one before it and the newest are never pruned."""


@dataclass(frozen=True)
class ModelVersion:
    """One version: its number, whether it is used, and what can be read of it; `error` if it is broken."""

    number: int
    state: Literal["promoted", "previous", "candidate"]
    folder: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class ModelRegistry:
    """The versions of every model below a data root.

    What writes (`save_version`, `promote`, `rollback`, `prune`) is called under the market's lock; what
    reads needs none. The files of a promoted model are those of its version, by hard links where the
    filesystem has them. A writer killed at any moment leaves the old model or the new one in use, and the
    next one to write tidies up.
    """

    layout: Layout
    store: ModelStore
    keep: int = KEPT_VERSIONS

    def save_version(
        self,
        model: ModelAddress,
        *,
        payload: object,
        metadata: Mapping[str, Any],
        metrics: Mapping[str, Any],
        run_id: str,
        now: datetime,
        scores: pd.DataFrame | None = None,
        comparison: Mapping[str, Any] | None = None,
    ) -> ModelVersion:
        """Keep a trained model as the next version, and prune; the caller holds the market's lock.

        It is promoted at once where no sound model is promoted, else it is a candidate. The metadata gain
        `version`, `saved_at`, `run_id` and `comparison`: what it was compared with. Raises ModelRejected for
        metadata of another model and what `ModelStore.save` refuses, StorageFull and StorageError.
        """
        check_identity(metadata, model.identity, origin="what is to be saved")
        self._check_keep(self.keep)
        at = in_utc(now)
        state = self._tidied(model, at)
        number = state.following
        own = {"version": number, "saved_at": at.isoformat(), "run_id": run_id, "comparison": comparison}
        self.store.save(
            self.layout.version_dir(model, number),
            payload=payload,
            metadata={**metadata, **own},
            metrics=metrics,
            scores=scores,
        )
        state = self._logged(model, at)
        refused = "first version" if state.promoted is None else self._problem(model, state, state.promoted)
        if refused:
            reason = refused if state.promoted is None else f"the model before is refused: {refused}"
            self._use(model, state, state.step("promoted", number, at, f"run {run_id}", reason))
        self._prune(model, at, f"run {run_id}", self.keep)
        return self._version(model, read_state(self.layout, model), number)

    def promote(
        self, model: ModelAddress, number: int, *, reason: str, by: str, now: datetime
    ) -> ModelVersion:
        """Use a version from now on; the caller holds the market's lock.

        Raises ModelNotFound naming the versions there are, or ModelRejected for a broken one, and all is then
        as it was. Promoting the promoted version changes nothing, unless its folder was damaged.
        """
        at = in_utc(now)
        self._check_there(model, read_state(self.layout, model), number)
        state = self._tidied(model, at)
        if number != state.promoted or self._problem(model, state, number):
            self._use(model, state, state.step("promoted", number, at, by, reason))
        return self._version(model, read_state(self.layout, model), number)

    def rollback(self, model: ModelAddress, *, by: str, now: datetime, reason: str = "") -> ModelVersion:
        """Use the version that was promoted before; the caller holds the market's lock.

        Once more goes one further back. Raises ModelNotFound where there is none before it, ModelRejected
        when that one is broken; all is then as it was.
        """
        at = in_utc(now)
        state = read_state(self.layout, model)
        if state.previous is None:
            raise ModelNotFound(
                f"no version of {model} was promoted before the present one: {_those_of(state)}; promote one"
            )
        state = self._tidied(model, at)
        number = state.line[-2]
        self._use(model, state, state.step("rolled_back", number, at, by, reason))
        return self._version(model, read_state(self.layout, model), number)

    def prune(
        self, model: ModelAddress, *, by: str, now: datetime, keep: int | None = None
    ) -> tuple[int, ...]:
        """Delete the oldest versions beyond `keep` and return them; the caller holds the market's lock.

        The promoted one, the one before it and the newest always stay.
        """
        keep, at = self.keep if keep is None else keep, in_utc(now)
        self._check_keep(keep)
        self._tidied(model, at)
        return self._prune(model, at, by, keep)

    def versions(self, model: ModelAddress) -> tuple[ModelVersion, ...]:
        """Return every version, oldest first; a broken one says what is wrong with it."""
        state = read_state(self.layout, model)
        found = (self._version(model, state, number) for number in sorted(state.digests))
        return tuple(version for version in found if os.path.lexists(version.folder))

    def promoted(self, model: ModelAddress) -> ModelVersion | None:
        """Return the version in use, or None."""
        state = read_state(self.layout, model)
        return None if state.promoted is None else self._version(model, state, state.promoted)

    def newest(self, model: ModelAddress) -> ModelVersion | None:
        """Return the version that was saved last, in use or not, or None."""
        state = read_state(self.layout, model)
        return self._version(model, state, max(state.digests)) if state.digests else None

    def events(self, model: ModelAddress) -> tuple[ModelEvent, ...]:
        """Return what happened to the versions of a model, oldest first."""
        return read_state(self.layout, model).events

    def load_version(self, model: ModelAddress, number: int) -> StoredModel:
        """Load one version after every check of `ModelStore.load`.

        Raises ModelNotFound naming the versions there are, or ModelRejected.
        """
        state = read_state(self.layout, model)
        self._check_there(model, state, number)
        return self._load(model, state, number)

    def _load(self, model: ModelAddress, state: ModelState, number: int) -> StoredModel:
        folder = self._folder(model, state, number)
        self._check_version(model, state, number)
        return self.store.load(folder, expect=model.identity)

    def _folder(self, model: ModelAddress, state: ModelState, number: int) -> Path:
        unnumbered = number == state.unnumbered
        return self.layout.promoted_dir(model) if unnumbered else self.layout.version_dir(model, number)

    def _version(self, model: ModelAddress, state: ModelState, number: int) -> ModelVersion:
        use: dict[int | None, Literal["promoted", "previous"]] = {
            state.previous: "previous",
            state.promoted: "promoted",
        }
        found: dict[str, Mapping[str, Any]] = {}
        folder, error = self._folder(model, state, number), ""
        try:
            self._check_version(model, state, number)
            found["metadata"] = self.store.peek(folder) or {}
            found["metrics"] = self.store.peek_metrics(folder)
            self.store.check(folder, expect=model.identity)
        except (ModelRejected, ModelNotFound, OSError) as problem:
            error = str(problem)
        return ModelVersion(number, use.get(number, "candidate"), folder, error=error, **found)

    def _check_version(self, model: ModelAddress, state: ModelState, number: int) -> None:
        """Refuse a version that is not in a folder of its own, or whose metadata are not those once saved."""
        folder = self._folder(model, state, number)
        if folder.is_symlink():
            raise ModelRejected(f"{folder} is a symbolic link: expected a folder; delete the link")
        logged = state.logged_digest(number)
        if logged is not None and logged != state.digests[number]:
            raise ModelRejected(
                f"{folder / METADATA_FILE} is not the file that was saved: it was changed, torn or removed "
                "since; use another version"
            )

    def _check_there(self, model: ModelAddress, state: ModelState, number: int) -> None:
        if type(number) is not int or number not in state.digests:
            raise ModelNotFound(f"no version {number!r} of {model}: {_those_of(state)}")

    def _check_keep(self, keep: int) -> None:
        if keep < FEWEST_KEPT:
            raise InputError(
                f"{keep} versions to keep are too few: expected {FEWEST_KEPT} or more, the promoted one, the "
                "one before it and the newest"
            )

    def _problem(self, model: ModelAddress, state: ModelState, number: int) -> str:
        """Return why the promoted model cannot be used as that version, or nothing."""
        try:
            self._check_version(model, state, number)
            self.store.load(self.layout.promoted_dir(model), expect=model.identity)
        except (ModelRejected, ModelNotFound, OSError) as error:
            return str(error)
        return ""

    def _use(self, model: ModelAddress, state: ModelState, event: ModelEvent) -> None:
        """Put a version in the promoted folder, after checking it, and log that."""
        number, promoted = event.version, self.layout.promoted_dir(model)
        folder, log = self.layout.version_dir(model, number), EventLog(self.layout.versions_dir(model))
        self._load(model, state, number)
        with storage_errors(promoted), replaced_folder(promoted) as temporary:
            link_files(folder, temporary, MODEL_FILES)
            self.store.check(temporary, expect=model.identity)
            log.announce(event)
        # the announced event is read as part of the log, and the next writer moves it there
        with suppress(StorageError), storage_errors(promoted):
            log.settle(happened=True)

    def _tidied(self, model: ModelAddress, at: datetime) -> ModelState:
        """Finish what a killed writer left, number an unnumbered model, and bring the log up to date."""
        promoted, versions = self.layout.promoted_dir(model), self.layout.versions_dir(model)
        with storage_errors(promoted):
            recover_folder(promoted)
            recover_folders(versions)
            state = read_state(self.layout, model)
            last = EventLog(versions).next()
            EventLog(versions).settle(
                happened=last is not None and last.metadata_sha256 == state.promoted_digest
            )
            if state.unnumbered is not None:
                with replaced_folder(self.layout.version_dir(model, state.unnumbered)) as temporary:
                    link_files(promoted, temporary, MODEL_FILES)
        return self._logged(model, at)

    def _logged(self, model: ModelAddress, at: datetime) -> ModelState:
        """Log the versions that are on disk but not in the log, and return the state after it."""
        state, versions = read_state(self.layout, model), self.layout.versions_dir(model)
        missing = [number for number in state.unlogged() if state.digests[number] is not None]
        if not missing:
            return state
        with storage_errors(versions):
            EventLog(versions).append([self._made(model, state, number, at) for number in missing])
        return read_state(self.layout, model)

    def _made(self, model: ModelAddress, state: ModelState, number: int, at: datetime) -> ModelEvent:
        metadata: Mapping[str, Any] = {}
        with suppress(ModelRejected, ModelNotFound):
            metadata = self.store.peek(self.layout.version_dir(model, number)) or {}
        return state.made(number, metadata, at)

    def _prune(self, model: ModelAddress, at: datetime, by: str, keep: int) -> tuple[int, ...]:
        state = read_state(self.layout, model)
        pruned = state.beyond(keep)
        log = EventLog(self.layout.versions_dir(model))
        with storage_errors(log.folder):
            logged = {event.version for event in state.events if event.kind == "pruned"}
            reason = f"the newest {keep} are kept"
            log.append(ModelEvent("pruned", n, at, by, reason) for n in pruned if n not in logged)
            for number in pruned:
                remove_folder(self.layout.version_dir(model, number))
        return pruned


def _those_of(state: ModelState) -> str:
    numbers = ", ".join(map(str, sorted(state.digests)))
    return f"there are {numbers}" if numbers else "there are none, train it first"
