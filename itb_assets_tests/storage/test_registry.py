"""Every trained model is kept and numbered, one is used, and going back is one step."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from frames_of import NOW, frame_of
from pandas.testing import assert_frame_equal
from registry_writers import (
    FILES,
    MODEL,
    content,
    in_use,
    mark_of,
    promote,
    registry_of,
    rollback,
    save,
)

from itb_assets.domain.markets import Market
from itb_assets.errors import InputError, ModelNotFound, ModelRejected
from itb_assets.storage.disk import folders
from itb_assets.storage.models.registry import ModelRegistry


@pytest.fixture
def registry(tmp_path) -> ModelRegistry:
    """Return a registry without models."""
    return registry_of(tmp_path)


def states(registry: ModelRegistry) -> dict[int, str]:
    return {version.number: version.state for version in registry.versions(MODEL)}


def happened(registry: ModelRegistry) -> list[tuple[str, int]]:
    return [(event.kind, event.version) for event in registry.events(MODEL)]


def test_the_first_version_is_used_at_once_and_later_ones_wait(registry):
    assert (registry.versions(MODEL), registry.promoted(MODEL), registry.newest(MODEL)) == ((), None, None)
    first = save(registry, 1)
    assert (first.number, first.state, first.error) == (1, "promoted", "")
    comparison = {"version": 1, "difference": -0.01}
    second = save(registry, 2, comparison=comparison, run_id="abc")
    assert (second.number, second.state) == (2, "candidate")
    assert second.metadata["comparison"] == comparison
    assert {name: second.metadata[name] for name in ("version", "run_id", "saved_at", "mark")} == {
        "version": 2,
        "run_id": "abc",
        "saved_at": NOW.isoformat(),
        "mark": 2,
    }
    assert second.metrics == {"mark": 2}
    assert mark_of(in_use(registry)) == 1
    assert [mark_of(registry.load_version(MODEL, number)) for number in (1, 2)] == [1, 2]
    assert registry.promoted(MODEL) == first
    assert registry.newest(MODEL) == second
    assert registry.layout.models() == (MODEL,)


def test_a_promoted_version_is_in_use_as_a_whole_and_costs_no_second_copy(registry):
    save(registry, 1)
    save(registry, 2)
    promoted = promote(registry, 2)
    assert (promoted.number, promoted.state) == (2, "promoted")
    assert states(registry) == {1: "previous", 2: "promoted"}
    assert mark_of(in_use(registry)) == 2
    folder = registry.layout.promoted_dir(MODEL)
    assert {file.name for file in folder.iterdir()} == FILES
    for file in folder.iterdir():
        assert file.samefile(promoted.folder / file.name)
        assert file.stat().st_nlink == 2
    assert sorted(entry.name for entry in folder.parent.iterdir()) == [".versions", MODEL.label]


def test_where_there_are_no_links_files_are_copied(registry, monkeypatch):
    def no_links(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    save(registry, 1)
    save(registry, 2)
    promote(registry, 2)
    folder = registry.layout.promoted_dir(MODEL)
    assert mark_of(in_use(registry)) == 2
    (folder / "model.pkl").write_bytes(b"damaged")
    assert registry.versions(MODEL)[1].error == ""
    promote(registry, 2, "repair")
    assert mark_of(in_use(registry)) == 2


def test_rolling_back_goes_back_step_by_step(registry):
    for mark in (1, 2, 3):
        promote(registry, save(registry, mark).number)
    assert rollback(registry).number == 2
    assert states(registry) == {1: "previous", 2: "promoted", 3: "candidate"}
    assert rollback(registry).number == 1
    assert mark_of(in_use(registry)) == 1
    with pytest.raises(ModelNotFound, match="promoted before the present one: there are 1, 2, 3; promote"):
        rollback(registry)
    assert mark_of(in_use(registry)) == 1
    promote(registry, 3)
    assert rollback(registry).number == 1


def test_events_say_who_when_from_where_to_where_and_why(registry):
    local = datetime(2025, 3, 1, 9, tzinfo=timezone(timedelta(hours=-3)))
    save(registry, 1)
    save(registry, 2)
    registry.promote(MODEL, 2, reason="expectativa maior: +0,02 %\nver notas", by="ana", now=local)
    registry.rollback(MODEL, reason="pior ao vivo", by="rui", now=local)
    assert happened(registry) == [
        *(("saved", 1), ("promoted", 1), ("saved", 2), ("promoted", 2), ("rolled_back", 1)),
    ]
    event = registry.events(MODEL)[3]
    assert (event.before, event.version, event.by, event.line) == (1, 2, "ana", (1, 2))
    assert event.reason == "expectativa maior: +0,02 %\nver notas"
    assert event.at == datetime(2025, 3, 1, 12, tzinfo=UTC)
    assert [event.by for event in registry.events(MODEL)] == ["run r1", "run r1", "run r2", "ana", "rui"]
    log = registry.layout.versions_dir(MODEL) / "events.jsonl"
    last = json.loads(log.read_text("utf-8").splitlines()[-1])
    assert (last["event"], last["from"], last["version"], last["reason"]) == (
        *("rolled_back", 2, 1, "pior ao vivo"),
    )
    with pytest.raises(InputError, match="no time zone"):
        registry.promote(MODEL, 2, reason="", by="", now=datetime(2025, 3, 1))  # noqa: DTZ001 - the point


def test_promoting_the_promoted_version_changes_nothing(registry):
    save(registry, 1)
    before = registry.layout.promoted_dir(MODEL).stat().st_ino
    assert promote(registry, 1).state == "promoted"
    assert registry.layout.promoted_dir(MODEL).stat().st_ino == before
    assert happened(registry) == [("saved", 1), ("promoted", 1)]


@pytest.mark.parametrize("number", [0, 3, -1, True, "1", "../../x", 1.0, None, 10**12])
def test_a_version_that_does_not_exist_is_refused_with_those_that_do(registry, number):
    save(registry, 1)
    save(registry, 2)
    for ask in (lambda: promote(registry, number), lambda: registry.load_version(MODEL, number)):
        with pytest.raises(ModelNotFound, match=r"no version .*high_040_4: there are 1, 2$"):
            ask()


def test_a_model_without_versions_says_so_and_nothing_is_made(registry, tmp_path):
    for ask in (
        lambda: promote(registry, 1),
        lambda: registry.load_version(MODEL, 1),
        lambda: rollback(registry),
    ):
        with pytest.raises(ModelNotFound, match="there are none, train it first"):
            ask()
    assert registry.prune(MODEL, by="", now=NOW) == ()
    assert registry.events(MODEL) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_model_saved_before_there_were_versions_becomes_the_first(registry):
    """Reading changes nothing on disk, the next write gives it a folder of its own."""
    folder = registry.layout.promoted_dir(MODEL)
    registry.store.save(folder, **content(1))
    (only,) = registry.versions(MODEL)
    assert (only.number, only.state, only.folder, only.error) == (1, "promoted", folder, "")
    assert mark_of(registry.load_version(MODEL, 1)) == 1
    assert not registry.layout.versions_dir(MODEL).exists()
    assert save(registry, 2).state == "candidate"
    assert states(registry) == {1: "promoted", 2: "candidate"}
    assert happened(registry) == [("adopted", 1), ("saved", 2)]
    promote(registry, 2)
    assert mark_of(registry.load_version(MODEL, 1)) == 1
    assert rollback(registry).number == 1
    assert mark_of(in_use(registry)) == 1


def test_a_model_put_in_place_by_other_means_gets_a_number_too(registry):
    save(registry, 1)
    save(registry, 2)
    registry.store.save(registry.layout.promoted_dir(MODEL), **content(7))
    assert states(registry) == {1: "previous", 2: "candidate", 3: "promoted"}
    assert save(registry, 4).number == 4
    assert mark_of(registry.load_version(MODEL, 3)) == 7
    assert rollback(registry).number == 1
    assert states(registry) == {1: "promoted", 2: "candidate", 3: "candidate", 4: "candidate"}


def test_the_versions_can_be_lost_and_the_model_stays(registry):
    for mark in (1, 2):
        promote(registry, save(registry, mark).number)
    shutil.rmtree(registry.layout.versions_dir(MODEL))
    assert states(registry) == {1: "promoted"}
    assert save(registry, 3).number == 2
    assert happened(registry) == [("adopted", 1), ("saved", 2)]
    assert mark_of(in_use(registry)) == 2


def test_the_model_in_use_can_be_deleted_and_the_next_one_takes_its_place(registry):
    for mark in (1, 2):
        promote(registry, save(registry, mark).number)
    shutil.rmtree(registry.layout.promoted_dir(MODEL))
    assert states(registry) == {1: "candidate", 2: "candidate"}
    assert save(registry, 3).state == "promoted"
    assert states(registry) == {1: "candidate", 2: "previous", 3: "promoted"}
    assert rollback(registry).number == 2


def test_the_oldest_are_pruned_but_never_those_in_use_or_before(registry):
    registry = replace(registry, keep=4)
    for mark in range(1, 4):
        save(registry, mark)
    promote(registry, 2)
    for mark in range(4, 9):
        save(registry, mark)
    assert states(registry) == {1: "previous", 2: "promoted", 7: "candidate", 8: "candidate"}
    assert [number for kind, number in happened(registry) if kind == "pruned"] == [3, 4, 5, 6]
    assert registry.prune(MODEL, by="ana", now=NOW, keep=3) == (7,)
    assert states(registry) == {1: "previous", 2: "promoted", 8: "candidate"}
    assert save(registry, 9).number == 9
    assert rollback(registry).number == 1
    with pytest.raises(InputError, match="2 versions to keep are too few: expected 3 or more"):
        registry.prune(MODEL, by="ana", now=NOW, keep=2)
    with pytest.raises(InputError, match="too few"):
        save(replace(registry, keep=1), 10)


def test_a_number_is_never_given_twice(registry):
    """Also when the newest versions were deleted by hand, and lines of the log cannot be read."""
    for mark in (1, 2, 3):
        save(registry, mark)
    shutil.rmtree(registry.layout.version_dir(MODEL, 3))
    log = registry.layout.versions_dir(MODEL) / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    odd = (b"{}\n", b"[]\n", b"\xff\n", b'{"event": "saved", "version": 1e999}\n', b"[" * 100_000 + b"\n")
    log.write_bytes(b"".join([*odd, *lines, *odd]) + b'{"event": "sa')
    kinds = [event.kind for event in registry.events(MODEL)]
    assert kinds == ["unreadable"] * 5 + ["saved", "promoted", "saved", "saved"] + ["unreadable"] * 5
    assert registry.events(MODEL)[0].reason == "line 1 of events.jsonl is no event: KeyError 'event'"
    assert save(registry, 4).number == 4
    assert states(registry) == {1: "promoted", 2: "candidate", 4: "candidate"}
    assert happened(registry)[-1] == ("saved", 4)


def test_what_another_model_says_of_itself_is_not_saved(registry):
    wrong = content(1)["metadata"] | {"symbol": "ETHUSDT", "freq": "1h"}
    with pytest.raises(ModelRejected, match="symbol is 'ETHUSDT', expected 'BTCUSDT'; freq is '1h'"):
        save(registry, 1, metadata=wrong)
    with pytest.raises(ModelRejected, match="in another order"):
        save(registry, 1, metadata=content(1)["metadata"] | {"features": ["b", "a"]})
    assert registry.versions(MODEL) == ()


def test_signed_versions_are_asked_for_their_signature(tmp_path):
    plain, signing = registry_of(tmp_path), registry_of(tmp_path, key=b"key")
    save(plain, 1)
    assert "is not signed" in signing.versions(MODEL)[0].error
    assert save(signing, 2).state == "promoted"
    assert [bool(version.error) for version in signing.versions(MODEL)] == [True, False]
    with pytest.raises(ModelRejected, match="is not signed"):
        rollback(signing)
    assert mark_of(in_use(signing)) == 2


def test_other_models_are_left_alone(registry):
    """One label may begin with another, and each market has its own."""
    longer = replace(MODEL, label="high_040_4_more")
    elsewhere = replace(MODEL, market=Market("ETHUSDT", "1h"))
    for model in (longer, elsewhere):
        own = content(5) | {"metadata": content(5)["metadata"] | model.identity}
        registry.save_version(model, **own, run_id="r", now=NOW)
    stray = registry.layout.promoted_dir(longer).with_name(f".tmp-{longer.label}-1-00aa")
    stray.mkdir()
    promote(registry, (save(registry, 1), save(registry, 2))[1].number)
    rollback(registry)
    assert [version.state for version in registry.versions(longer)] == ["promoted"]
    assert [version.state for version in registry.versions(elsewhere)] == ["promoted"]
    assert stray.is_dir()
    assert registry.layout.models() == (MODEL, longer, elsewhere)


def test_scores_of_a_version_come_back(registry):
    save(registry, 1)
    scores = registry.load_version(MODEL, 1).scores()
    assert_frame_equal(scores, frame_of(50).assign(trades=1), check_exact=True)


def test_a_filesystem_without_exchange_promotes_by_two_renames(registry, monkeypatch):
    monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    for mark in (1, 2):
        promote(registry, save(registry, mark).number)
    assert mark_of(in_use(registry)) == 2
    assert rollback(registry).number == 1
