-- Trades on paper and executed ones, what they add up to by day, and every look for drift.

-- One row a position. `time` is when it was entered, `price` what was paid, and money is exact. A paper trade
-- has source 'paper', its variant as account and model name, and the freq of its klines; an executed one
-- belongs to no freq (''). Exchanges number the trades of each symbol on their own, so the symbol is part of
-- the key; time is too, so that the table can be partitioned by it.
CREATE TABLE trades (
    symbol text NOT NULL,
    freq text NOT NULL,
    time timestamptz NOT NULL,
    source text NOT NULL,
    account text NOT NULL,
    trade_id text NOT NULL,
    side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
    status text NOT NULL CHECK (status IN ('OPEN', 'CLOSED', 'CANCELLED')),
    price numeric NOT NULL,
    quantity numeric NOT NULL,
    model_name text,
    variant text,
    signal_strength numeric,
    exit_time timestamptz,
    exit_price numeric,
    exit_reason text,
    fees numeric,
    other_fees jsonb,
    gross_pnl numeric,
    pnl numeric,
    return_pct numeric,
    take_profit numeric,
    stop_loss numeric,
    sample text CHECK (sample IN ('out_of_sample', 'live')),
    PRIMARY KEY (symbol, freq, time, source, account, trade_id)
);
COMMENT ON COLUMN trades.pnl IS 'gross_pnl less fees, in quote currency; unknown while OPEN';
COMMENT ON COLUMN trades.other_fees IS 'fees in assets of unknown worth, by asset; in neither fees nor pnl';

CREATE INDEX trades_time ON trades (time DESC);
CREATE INDEX trades_symbol_time ON trades (symbol, time DESC);

-- Days are UTC, by entry. Back-tested, live, paper and executed trades are never added up together.
CREATE VIEW daily_performance AS
SELECT
    date_trunc('day', time, 'UTC') AS day,
    symbol,
    model_name,
    count(*) AS total_trades,
    (count(*) FILTER (WHERE pnl > 0))::double precision / count(*) AS win_rate,
    sum(pnl) AS total_pnl,
    avg(pnl) AS avg_pnl,
    max(pnl) AS max_win,
    min(pnl) AS max_loss,
    freq,
    source,
    sample
FROM trades
WHERE status = 'CLOSED'
GROUP BY date_trunc('day', time, 'UTC'), symbol, model_name, freq, source, sample;

-- One row a look at one measure, also where the data could not tell. The metric says of what it is measured.
CREATE TABLE model_drift (
    symbol text NOT NULL,
    freq text NOT NULL,
    time timestamptz NOT NULL,
    model_name text NOT NULL,
    metric text NOT NULL,
    value double precision,
    n bigint NOT NULL,
    threshold double precision,
    verdict text NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (symbol, freq, time, model_name, metric)
);
CREATE INDEX model_drift_time ON model_drift (time DESC);
