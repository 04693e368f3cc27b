"""What the dispatcher says: the words of rows of the outbox, whatever those hold, and its own messages.

How a message reads belongs to `messages` and `digest`; nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from itb_assets.domain.alerts.occurrence import Level
from itb_assets.observability.alerts.catalogue import LANGUAGES, Language, length, moment, word
from itb_assets.observability.alerts.digest import digest
from itb_assets.observability.alerts.markup import cut, escape
from itb_assets.observability.alerts.messages import render
from itb_assets.observability.alerts.outbox import OutboxRow
from itb_assets.observability.logs import get_logger

_WORDS: Mapping[str, tuple[str, str]] = {
    "alive": ("Alerts are alive", "Os alertas estão ativos"),
    "figures": (
        "Open incidents: {open}\nSent in 24 h: {sent}\nRefused in 24 h: {dead}\nWaiting: {waiting}",
        "Incidentes abertos: {open}\nEnviados em 24 h: {sent}\nRecusados em 24 h: {dead}\nNa fila: {waiting}",
    ),
    "oldest": ("Oldest heartbeat: {who}, {age} ago", "Sinal de vida mais antigo: {who}, há {age}"),
    "refuses": ("{channel} refuses messages", "{channel} recusa mensagens"),
    "instead": ("They come here instead.", "Elas chegam por aqui."),
    "not sent": (
        "{count} alerts of before the backup were not sent",
        "{count} alertas anteriores ao backup não foram enviados",
    ),
    "one not sent": (
        "1 alert of before the backup was not sent",
        "1 alerta anterior ao backup não foi enviado",
    ),
    "put back": (
        "{levels}\nbackup of {made}, put back {now}\nlisted by: itb alerts replay",
        "{levels}\nbackup de {made}, restaurado {now}\nlista: itb alerts replay",
    ),
}


_MOST_BARE = 30
"""So many titles fit into a message whatever is in them."""


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """In which language, and where the page lies that says what to do."""

    language: Language = "en"
    docs_url: str = ""

    def text(self, rows: Sequence[OutboxRow], *, with_chart: bool = False) -> str:
        """Return the HTML for one row or a digest of several; a message that cannot be shown is named."""
        try:
            if len(rows) == 1:
                row = rows[0]
                return render(
                    row.kind,
                    row.message,
                    self.language,
                    docs_url=self.docs_url,
                    possible_repeat=row.leased_before,
                    with_chart=with_chart,
                )
            return digest(rows, self.language, docs_url=self.docs_url)
        except Exception as error:  # noqa: BLE001 - an alert that reads badly is better than none
            get_logger(outbox=[row.id for row in rows]).error(f"no words for it: {type(error).__name__}")
            named, left = [_bare(row) for row in rows[:_MOST_BARE]], len(rows) - _MOST_BARE
            return "\n".join([*named, *([word("more lines", self.language, left)] if left > 0 else [])])

    def alive(
        self, now: datetime, *, oldest: tuple[str, timedelta] | None, **figures: object
    ) -> dict[str, Any]:
        """Return the daily message; figures: open, sent, dead, waiting; `oldest` heartbeat and its age."""
        lines = [self._word("figures", **figures)]
        if oldest is not None:
            lines.append(self._word("oldest", who=oldest[0], age=length(oldest[1], self.language)))
        said = {"title": self._word("alive"), "detail": "\n".join(lines)}
        return {"level": Level.INFO.label, "at": now.isoformat(), **said}

    def refusal(self, channel: str, why: str, now: datetime) -> dict[str, Any]:
        """Return what another channel is told of one that refuses."""
        said = {
            "title": self._word("refuses", channel=channel),
            "detail": f"{why} · {self._word('instead')}",
            "action": "alert-alert-delivery-lagging",
        }
        return {"level": Level.CRITICAL.label, "at": now.isoformat(), **said}

    def not_sent(self, counts: Mapping[Level, int], made_at: datetime, now: datetime) -> dict[str, Any]:
        """Return what is told after a backup was put back: how many that waited in it were not sent."""
        count, levels = sum(counts.values()), sorted(counts, reverse=True)
        said = ", ".join(f"{counts[level]} {word(level.label, self.language)}" for level in levels)
        made, put_back = (moment(time, self.language) for time in (made_at, now))
        return {
            "level": levels[0].label,
            "at": now.isoformat(),
            "title": self._word("one not sent" if count == 1 else "not sent", count=count),
            "detail": self._word("put back", levels=said, made=made, now=put_back),
        }

    def _word(self, name: str, **values: object) -> str:
        return _WORDS[name][LANGUAGES.index(self.language)].format(**values)


def _bare(row: OutboxRow) -> str:
    again = " [possible repeat]" if row.leased_before else ""
    return escape(cut(f"{row.level.label} {row.message.get('title', '')}{again}", 120))
