"""Paper trades of stored signals and klines, computed again only as far as something changed.

The rule, and what it makes of signals and prices, belongs to `domain.trading`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.trading.paper import PaperResult, resume_time, simulate
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import empty_trades
from itb_assets.orchestration.updates import rows_before
from itb_assets.storage.files.frames import StoredFrame

PRICES = ["timestamp", "open", "high", "low", "close"]
_ROWS_LOOKED_BACK = 16


@dataclass(frozen=True)
class PaperSources:
    """What a variant's paper trades are made from."""

    market: Market
    rule: TradingRule
    signals: StoredFrame
    data: StoredFrame

    def whole(self) -> PaperResult:
        """Follow every signal there is."""
        if self.signals.first is None:
            return PaperResult(empty_trades(), 0, 0, 0, 0, 0)
        return self._followed(self.signals.first)

    def going_on(self, stored: StoredFrame, changed_from: pd.Timestamp) -> tuple[PaperResult, pd.Timestamp]:
        """Follow what is in doubt once signals or klines changed from a time on; and return from when.

        The trades from then on replace those stored. What is read are the rows since then, and of the stored
        trades those that may still have been held.
        """
        doubtful = stored.since(self._settled(changed_from))
        since = resume_time(doubtful, changed_from=changed_from) or changed_from
        earlier = stored.since(self._settled(since))
        return self._followed(rows_before(self.market, since, 1), since=since, earlier=earlier), since

    def _followed(
        self,
        read_from: pd.Timestamp,
        *,
        since: pd.Timestamp | None = None,
        earlier: pd.DataFrame | None = None,
    ) -> PaperResult:
        names = (self.rule.buy, self.rule.sell, self.rule.score)
        columns = ["timestamp", "sample", *(name for name in names if name is not None)]
        signals, data = self.signals.since(read_from, columns), self.data.since(read_from, PRICES)
        return simulate(signals, data, self.rule, self.market, since=since, earlier=earlier)

    def _settled(self, time: pd.Timestamp) -> pd.Timestamp:
        """Return a time such that every position entered until then had ended before `time`.

        A position leaves at the first open after its time limit, so a gap lengthens it.
        """
        rows = _ROWS_LOOKED_BACK
        while True:
            start = rows_before(self.market, time, rows)
            closes = self.data.since(start, ["timestamp", "close"])
            known = closes.loc[(closes["timestamp"] < time) & closes["close"].notna(), "timestamp"]
            if len(known):
                return rows_before(self.market, known.iloc[-1], self.rule.time_limit_rows)
            if self.data.first is None or start <= self.data.first:
                return start
            rows *= _ROWS_LOOKED_BACK
