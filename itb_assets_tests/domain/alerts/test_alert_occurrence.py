"""What is told of a cause keeps its identity whatever its words, and can always be stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.alerts import Inhibition, Level, Occurrence, Silence, fingerprint_of
from itb_assets.errors import DataContractError, InputError

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
words = st.text(max_size=400)


def occurrence(**other) -> Occurrence:
    given = {"event_id": "e", "rule": "training_failed", "level": Level.ERROR, "title": "It failed", "at": AT}
    return Occurrence(**(given | other))


@given(st.dictionaries(names, words, max_size=5), words, words, words.filter(str.strip))
def test_any_words_can_be_stored(labels, title, detail, event_id):
    """No NUL, no half of a pair, one line of title; and what is repaired is repaired the same way again."""
    first = occurrence(labels=labels, title=title, detail=detail, event_id=event_id)
    for text in (first.event_id, first.title, first.detail, *first.labels.values()):
        assert "\x00" not in text
        text.encode()
    assert len(first.title.splitlines()) <= 1
    assert list(first.labels) == sorted(labels)
    again = occurrence(labels=first.labels, title=first.title, detail=first.detail, event_id=first.event_id)
    assert again == first


@given(st.permutations(["asset", "symbol", "freq", "variant"]), words, words)
def test_identity_is_of_rule_and_labels_alone(order, title, detail):
    """The order of labels, the words, the level and the time do not make another thing of it."""
    labels = {name: name.upper() for name in order}
    one = occurrence(labels=labels, title=title, detail=detail, level=Level.INFO, at=AT + timedelta(days=1))
    assert one.fingerprint == occurrence(labels=dict(sorted(labels.items()))).fingerprint
    assert one.fingerprint == fingerprint_of("training_failed", labels)
    assert len(one.fingerprint) == 16
    int(one.fingerprint, 16)


@pytest.mark.parametrize(
    "other",
    [
        {"rule": "training_slow"},
        {"labels": {"symbol": "ETHUSDT"}},
        {"labels": {"asset": "BTCUSDT"}},
        {"labels": {"symbol": "BTCUSDT", "freq": "5m"}},
        {"labels": {}},
    ],
)
def test_another_rule_or_label_is_another_thing(other):
    one = occurrence(labels={"symbol": "BTCUSDT"})
    assert occurrence(**({"labels": {"symbol": "BTCUSDT"}} | other)).fingerprint != one.fingerprint


def test_long_identities_stay_two():
    """What is cut to fit still differs where what was cut off differs."""
    one, two = (occurrence(labels={"asset": "x" * 500 + end}, event_id="y" * 500 + end) for end in "ab")
    assert one.fingerprint != two.fingerprint
    assert one.event_id != two.event_id
    assert max(len(one.labels["asset"]), len(one.event_id)) <= 200


def test_time_is_kept_in_utc():
    there = timezone(timedelta(hours=-3))
    one = occurrence(at=AT.astimezone(there))
    assert (one.at, one.at.tzinfo) == (AT, UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "Training failed"},
        {"labels": {"a b": "x"}},
        {"event_id": " "},
        {"at": AT.replace(tzinfo=None)},
    ],
)
def test_what_identity_rests_on_is_checked(wrong):
    with pytest.raises(DataContractError, match="expected names"):
        occurrence(**wrong)


def test_a_chart_is_not_in_its_words():
    """Bytes of a picture do not end up in a log."""
    assert "PNG" not in repr(occurrence(chart=b"PNG"))


def test_levels_have_names():
    assert [Level.named(level.label) for level in Level] == list(Level)
    with pytest.raises(InputError, match="info, warning, error, critical"):
        Level.named("fatal")


@pytest.mark.parametrize(
    ("matchers", "fits"),
    [
        ({"rule": "data_stale"}, True),
        ({"rule": "data_*"}, True),
        ({"rule": "*"}, True),
        ({"symbol": "BTC*", "freq": "5m"}, True),
        ({"symbol": "BTC*", "freq": "1h"}, False),
        ({"symbol": "BTC"}, False),
        ({"variant": "*"}, False),
        ({"rule": "training_failed"}, False),
    ],
)
def test_a_silence_covers_what_all_its_matchers_fit(matchers, fits):
    silence = Silence(matchers=matchers, until=AT, who="ana", why="moving")
    labels = {"symbol": "BTCUSDT", "freq": "5m"}
    assert silence.covers("data_stale", labels, AT - timedelta(microseconds=1)) is fits
    assert not silence.covers("data_stale", labels, AT)


@pytest.mark.parametrize(
    "wrong",
    [{"matchers": {}}, {"who": " "}, {"why": ""}, {"until": AT.replace(tzinfo=None)}],
)
def test_a_silence_says_of_what_who_and_why(wrong):
    with pytest.raises(InputError, match="silence"):
        Silence(**({"matchers": {"rule": "*"}, "until": AT, "who": "ana", "why": "moving"} | wrong))


def test_an_inhibition_that_would_mute_itself_or_everything_is_refused():
    with pytest.raises(InputError, match="labels"):
        Inhibition(equal=())
    with pytest.raises(InputError, match="worse"):
        Inhibition(source_level=Level.WARNING, target_level=Level.WARNING)
