"""A channel without another: what it refuses waits until that is mended; a chart never costs its message."""

from __future__ import annotations

from lane_stepping import HandClock, Noted, stepping
from outages import cause, rows, telegram, told

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.channels import Channel, Receipt, Refused, TryLater

WAITING = "sent_at IS NULL AND dead_at IS NULL"


class Refusing:
    """Takes nothing, for its token is wrong."""

    name = "telegram"

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        raise Refused(f"{text_html[:9]} {chart!r}", status=401)


class NoCharts:
    """Breaks off over each chart."""

    name = "telegram"

    def __init__(self, channel: Channel) -> None:
        """Stand before a channel."""
        self._channel = channel

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        if chart is not None:
            raise TryLater("the picture took too long")
        return self._channel.send(text_html)


def test_what_a_wrong_token_keeps_back_goes_out_once_that_is_mended(engine, bot):
    clock = HandClock()
    for number in range(30):
        told(engine, cause(number, clock()), clock())
    refusing = Noted(Refusing(), clock)
    with stepping(engine, refusing, clock) as steps:
        steps.work(600)
    assert len(rows(engine, "id", WAITING)) == 30
    assert 9 <= len(refusing.tries) <= 11, "asked once a minute"
    with stepping(engine, Noted(telegram(bot), clock), clock) as steps:
        steps.work(120)
    assert rows(engine, "id", WAITING) == []
    assert rows(engine, "id", "dead_at IS NOT NULL") == []


def test_what_one_refuses_is_given_up_where_another_takes_it(engine):
    clock = HandClock()
    told(engine, cause(1, clock()), clock())
    with stepping(engine, Noted(Refusing(), clock), clock, other="slack") as steps:
        steps.work(5)
    assert len(rows(engine, "id", "dead_at IS NOT NULL AND channel = 'telegram'")) == 1
    assert rows(engine, "id", "sent_at IS NULL AND dead_at IS NULL AND channel = 'slack'")


def test_a_chart_that_does_not_get_through_does_not_keep_its_message_back(engine, bot):
    clock = HandClock()
    draft = outbox.Draft(
        dedup_key="loss",
        channel="telegram",
        level=Level.CRITICAL,
        kind="opened",
        message={"title": "daily loss", "level": "critical"},
        chart=b"a picture",
    )
    with engine.begin() as connection:
        outbox.enqueue(connection, draft, now=clock())
    noted = Noted(NoCharts(telegram(bot)), clock)
    with stepping(engine, noted, clock) as steps:
        steps.work(60)
    assert len(noted.tries) == 4
    assert len(bot.texts) == 1
