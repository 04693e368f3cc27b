"""Whatever is done to the versions of a model, and in whatever order, they are what lists in memory say."""

from __future__ import annotations

import shutil
from pathlib import Path

from dying import in_memory
from frames_of import NOW
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_writers import MODEL, content, in_use, promote, registry_of, rollback

from itb_assets.errors import ModelNotFound
from itb_assets.storage.models.registry import ModelRegistry

KEEP = 4


class Expected:
    """The registry as lists in memory."""

    def __init__(self) -> None:
        """Begin without models."""
        self.marks: dict[int, int] = {}
        self.line: list[int] = []
        self.lost = True
        self.given = 0

    @property
    def promoted(self) -> int | None:
        return None if self.lost else self.line[-1]

    def settle(self) -> None:
        kept: list[int] = []
        for number in self.line:
            if number in self.marks and kept[-1:] != [number]:
                kept.append(number)
        self.line = kept

    def save(self, mark: int) -> None:
        self.given += 1
        self.marks[self.given] = mark
        if self.lost:
            self.promote(self.given)
        self.prune(KEEP)

    def promote(self, number: int) -> bool:
        if number in self.marks:
            self.line.append(number)
            self.lost = False
            self.settle()
        return number in self.marks

    def rollback(self) -> bool:
        if self.lost or len(self.line) < 2:
            return False
        self.line.pop()
        return True

    def prune(self, keep: int) -> None:
        always = set() if self.lost else set(self.line[-2:])
        always |= set(sorted(self.marks)[-1:])
        for number in sorted(self.marks):
            if len(self.marks) > keep and number not in always:
                del self.marks[number]
        self.settle()

    def states(self) -> dict[int, str]:
        found = dict.fromkeys(self.marks, "candidate")
        if not self.lost:
            found |= dict.fromkeys(self.line[-2:-1], "previous") | {self.line[-1]: "promoted"}
        return found


steps = st.lists(
    st.one_of(
        st.just(("save", 0)),
        st.tuples(st.just("promote"), st.integers(1, 7)),
        st.just(("rollback", 0)),
        st.tuples(st.just("prune"), st.integers(3, 5)),
        st.just(("lose", 0)),
        st.just(("replace", 0)),
    ),
    max_size=12,
)


def attempt(registry: ModelRegistry, action: str, number: int, mark: int) -> bool:
    folder = registry.layout.promoted_dir(MODEL)
    try:
        if action == "save":
            registry.save_version(MODEL, **content(mark, scores=False), run_id="r", now=NOW)
        elif action == "promote":
            promote(registry, number)
        elif action == "rollback":
            rollback(registry)
        elif action == "prune":
            registry.prune(MODEL, by="", now=NOW, keep=number)
        elif action == "lose":
            shutil.rmtree(folder, ignore_errors=True)
        else:
            registry.store.save(folder, **content(mark, scores=False))
            registry.prune(MODEL, by="", now=NOW)
    except ModelNotFound:
        return False
    return True


def expect(model: Expected, action: str, number: int, mark: int) -> bool:
    if action == "save":
        model.save(mark)
    elif action == "promote":
        return model.promote(number)
    elif action == "rollback":
        return model.rollback()
    elif action == "prune":
        model.prune(number)
    elif action == "lose":
        model.lost = True
    else:
        model.given += 1
        model.marks[model.given] = mark
        model.promote(model.given)
        model.prune(KEEP)
    return True


@settings(max_examples=80, deadline=None)
@given(steps=steps)
def test_any_sequence_of_actions_is_that_of_lists_in_memory(steps):
    """Saved, promoted, rolled back, pruned, deleted by hand and replaced by other means, in any order."""
    with in_memory() as root:
        registry, model = registry_of(Path(root), keep=KEEP), Expected()
        for mark, (action, number) in enumerate(steps):
            done = attempt(registry, action, number, mark)
            assert done == expect(model, action, number, mark), (action, number)
            assert {v.number: v.state for v in registry.versions(MODEL)} == model.states()
            assert {v.number: v.metadata["mark"] for v in registry.versions(MODEL)} == model.marks
            if model.promoted is not None:
                assert in_use(registry).payload["mark"] == model.marks[model.promoted]
        assert all(not version.error for version in registry.versions(MODEL))
