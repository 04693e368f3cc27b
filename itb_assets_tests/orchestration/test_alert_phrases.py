"""What events are called in Portuguese, and that both languages say the same."""

from __future__ import annotations

import doctest
from string import Formatter

from alert_room import Room
from test_alert_events import failed_from_outside

from itb_assets.domain.alerts import Incident
from itb_assets.observability.alerts.messages import headline
from itb_assets.orchestration.alerts import phrases


def in_portuguese(room: Room) -> None:
    room.writer.config = room.writer.config.model_copy(update={"language": "pt"})


def told(found: Incident) -> tuple[str, str]:
    """Return the two lines under which a message shows an incident."""
    return headline({"rule": found.rule, "title": found.title, "labels": found.labels}, "pt")


def test_a_failure_in_portuguese_says_nothing_twice(room: Room):
    in_portuguese(room)
    room.run(fail_raw="terminal")
    room.look()
    assert room.only().title == "raw/klines de DEMOWOLFUSDT 5m: erro"
    assert told(room.only()) == ("Erro no pipeline de dados", "")


def test_a_killed_run_in_portuguese(room: Room):
    in_portuguese(room)
    run_id = failed_from_outside(room)
    room.instance.add_run_tags(run_id, {"dagster/will_retry": "true"})
    room.look()
    ended = "execução de build de DEMOWOLFUSDT 5m: terminou antes da hora, o Dagster inicia de novo"
    assert told(room.only()) == ("Execução falhou", ended)
    assert room.only().detail.startswith("o processo foi morto")


def test_phrases_take_the_same_values_in_both_languages():
    assert doctest.testmod(phrases).failed == 0
    for both in phrases._PHRASES.values():
        english, portuguese = ({field for _, field, *_ in Formatter().parse(text) if field} for text in both)
        assert english == portuguese, both
