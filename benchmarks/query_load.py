"""Fills a database for `queries.py`: features of many markets up to this minute, and their trades.

One market's features are computed and stored by the project itself, the others are copies of its rows.
"""

# ruff: noqa: S608 - our own names and numbers

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import inputs
import pandas as pd
import sqlalchemy as sa
import table_inputs
import tables

from itb_assets.domain.features import FeaturePlan
from itb_assets.domain.klines import to_grid
from itb_assets.domain.markets import Market
from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.tables.database import SqlStore

SETTINGS = {"fsync": "off", "full_page_writes": "off"}
"""Loading is not measured: nothing has to outlive this server."""

MODELS = ("lgbm_azure", "lgbm_gcp", "lgbm_aggressive")
_ASSET = "processed/features"
_SPARE = 1.3
_LOG_BYTES = 3_000_000_000

Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is loaded: markets, features and rows of each, trades of each."""

    markets: int
    rows: int
    features: int
    trades: int

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets' symbols."""
        return tuple(f"BENCH{number:02d}USDT" for number in range(1, self.markets + 1))

    @property
    def expected_bytes(self) -> int:
        """Roughly what the tables, their indexes and the server's log take."""
        row = 24 + 8 + 40 + 8 * self.features + 60
        return int(_SPARE * self.markets * (self.rows * row + self.trades * 450)) + _LOG_BYTES


def check_space(folder: str | None, size: Size) -> None:
    """Raise SystemExit where the folder has too little space."""
    place = Path(folder or tempfile.gettempdir())
    free = shutil.disk_usage(place).free
    if free < size.expected_bytes:
        raise SystemExit(
            f"{place} has {free / 1e9:.1f} GB free: about {size.expected_bytes / 1e9:.1f} GB are needed; "
            "choose another --folder, or fewer --rows, --markets or --features"
        )


def plan(features: int) -> FeaturePlan:
    """Return the shipped strategy's 17 features, or 35 of the same kinds."""
    return table_inputs.plan() if features > len(inputs.feature_plan().names) else inputs.feature_plan()


def load(url: str, size: Size, folder: Path, say: Say) -> None:
    """Fill features and trades; the newest day of all markets lies row by row, as it came in."""
    first, *others = size.symbols
    chosen = plan(size.features)
    end = pd.Timestamp(datetime.now(UTC)).floor(inputs.MARKET.freq_delta) - pd.Timedelta(days=1)
    store = SqlStore(url, definitions={"features": chosen.definitions})
    engine = sa.create_engine(url)
    try:
        frame = _features(chosen, size.rows, end)
        say(f"features of {first}: {len(frame):,} rows")
        _store_first(store, Market(first, inputs.MARKET.freq), frame, folder)
        columns = [str(column["name"]) for column in sa.inspect(engine).get_columns("features")]
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for what, statement in _statements(size, first, others, columns):
                say(what)
                connection.execute(sa.text(statement))
        say("VACUUM, ANALYZE")
        tables.settle(engine, "features", "trades")
    finally:
        engine.dispose()
        store.close()


def _features(chosen: FeaturePlan, rows: int, end: pd.Timestamp) -> pd.DataFrame:
    """Return features of synthetic klines that end at a time."""
    klines = inputs.make_klines(rows)
    shift = end - klines["timestamp"].iloc[-1]
    frame = chosen.compute(to_grid(klines, inputs.MARKET)).tail(rows).reset_index(drop=True)
    return frame.assign(timestamp=frame["timestamp"] + shift)


def _store_first(store: SqlStore, market: Market, frame: pd.DataFrame, folder: Path) -> None:
    record = Record(
        asset=_ASSET,
        symbol=market.symbol,
        freq=market.freq,
        run_id="benchmark",
        written_at=datetime.now(UTC),
        digest="benchmark",
    )
    manifest = FrameStore().write(folder / "features.parquet", frame, record=record)
    store.replace(_ASSET, market, frame, manifest=manifest)


def _statements(size: Size, first: str, others: list[str], columns: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what each statement does, and the statement."""
    names = [name for name in columns if name not in {"symbol", "freq", "time"}]
    values = ", ".join(f'f."{name}"' for name in names)
    quoted = ", ".join(f'"{name}"' for name in names)
    into = f"INSERT INTO features (symbol, freq, time, {quoted})"
    for symbol in others:
        yield (
            f"features of {symbol}: copied",
            f"{into} SELECT '{symbol}', f.freq, f.time, {values} FROM features f WHERE f.symbol = '{first}'",
        )
    markets = ", ".join(f"('{symbol}')" for symbol in size.symbols)
    last_day = (
        f"SELECT m.symbol, f.freq, f.time + later.days * interval '1 day', {values} FROM features f "
        f"CROSS JOIN (VALUES {markets}) AS m (symbol) CROSS JOIN (VALUES (1), (2)) AS later (days) "
        f"WHERE f.symbol = '{first}' "
        f"AND f.time > (SELECT max(time) FROM features WHERE symbol = '{first}') - interval '1 day' "
        "AND f.time + later.days * interval '1 day' <= now() ORDER BY 3, 1"
    )
    yield "features of the last day", f"{into} {last_day}"
    for symbol in size.symbols:
        yield f"trades of {symbol}: {size.trades:,}", _trades(symbol, size)


def _trades(symbol: str, size: Size) -> str:
    """Return the INSERT of one market's trades, spread over the time of its features up to now."""
    minutes = size.rows * inputs.MARKET.freq_ms // 60_000
    models = ", ".join(f"'{name}'" for name in MODELS)
    return f"""
        INSERT INTO trades (symbol, freq, time, source, account, trade_id, side, status, price, quantity,
            model_name, variant, signal_strength, exit_time, exit_price, exit_reason, fees, gross_pnl, pnl,
            return_pct, take_profit, stop_loss, sample)
        SELECT '{symbol}', '5m', entry, 'paper', model, entry::text, 'BUY', 'CLOSED', price, 1, model, model,
            0.05, entry + interval '20 minutes', price + gain, 'take_profit', 0.08, gain, gain - 0.08,
            100 * (gain - 0.08) / price, price * 1.004, price * 0.996, 'out_of_sample'
        FROM (
            SELECT now() - n * (interval '{minutes} minutes' / {size.trades}) AS entry,
                (ARRAY[{models}])[1 + n % {len(MODELS)}] AS model,
                round((20000 + 5000 * sin(n / 700.0))::numeric, 2) AS price,
                round((20 * random() - 10)::numeric, 8) AS gain
            FROM generate_series({size.trades}, 0, -1) AS n
        ) AS drawn"""
