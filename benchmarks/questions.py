"""What `queries.py` asks: an analyst's three questions in plain words of SQL, and the project's own queries.

How long answers take is measured there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from itb_assets.storage.queries.files import find_query
from itb_assets.storage.queries.parameters import checked_values

FREQ = "5m"
RECENT_MS = 10.0
DAYS_MS = 50.0
RECENT_ROWS = 12


@dataclass(frozen=True)
class Question:
    """A statement or the name of a query of ours, and how long its answer may take at the 99th percentile.

    `of_market`: each run asks of another one. `least_rows`: an answer of fewer rows is a wrong one.
    """

    key: str
    title: str
    most_ms: float
    least_rows: int
    statement: str = ""
    query: str = ""
    of_market: bool = False

    @property
    def text(self) -> str:
        """The statement, with named parameters."""
        return self.statement or find_query(self.query).statement

    def values(self, symbol: str) -> Mapping[str, object]:
        """Return the values of its parameters."""
        market = {"symbol": symbol, "freq": FREQ} if self.of_market else {}
        if self.statement:
            return {"symbol": symbol} if self.of_market else {}
        return checked_values(find_query(self.query), market, now=datetime.now(UTC))


QUESTIONS = (
    Question(
        "recent",
        "features of the last hour of a market, as SQL",
        RECENT_MS,
        RECENT_ROWS - 1,  # a kline may end between loading and asking
        "SELECT * FROM features WHERE symbol = :symbol AND freq = '5m' "
        "AND time >= NOW() - INTERVAL '1 hour' ORDER BY time DESC LIMIT 12",
        of_market=True,
    ),
    Question(
        "performance",
        "`daily_performance` of 30 days, all markets, as SQL",
        DAYS_MS,
        1,
        "SELECT symbol, model_name, win_rate, total_pnl, total_trades FROM daily_performance "
        "WHERE day >= NOW() - INTERVAL '30 days' ORDER BY total_pnl DESC",
    ),
    Question(
        "clouds",
        "clouds compared over 7 days, as SQL",
        DAYS_MS,
        1,
        "SELECT CASE WHEN model_name LIKE '%azure%' THEN 'Azure' WHEN model_name LIKE '%gcp%' THEN 'GCP' "
        "END AS cloud, AVG(win_rate) AS avg_win_rate, SUM(total_pnl) AS total_profit "
        "FROM daily_performance WHERE day >= NOW() - INTERVAL '7 days' GROUP BY cloud",
    ),
    Question(
        "recent_features",
        "`recent_features`: the last hour of a market",
        RECENT_MS,
        RECENT_ROWS - 1,
        query="recent_features",
        of_market=True,
    ),
    Question(
        "model_performance",
        "`model_performance`: 30 days, all markets",
        DAYS_MS,
        1,
        query="model_performance",
    ),
    Question(
        "cloud_comparison",
        "`cloud_comparison`: 7 days",
        DAYS_MS,
        1,
        query="cloud_comparison",
    ),
)
