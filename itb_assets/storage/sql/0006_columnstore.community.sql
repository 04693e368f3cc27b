-- What old chunks are compressed by, and daily performance kept ready instead of added up at every look.

ALTER TABLE ohlcv SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, freq',
    timescaledb.orderby = 'time'
);
ALTER TABLE features SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, freq',
    timescaledb.orderby = 'time'
);
ALTER TABLE labels SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, freq',
    timescaledb.orderby = 'time'
);
ALTER TABLE predictions SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, freq, model_name, label',
    timescaledb.orderby = 'time'
);
ALTER TABLE signals SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, freq, variant',
    timescaledb.orderby = 'time'
);
ALTER TABLE trades SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, freq, source, account',
    timescaledb.orderby = 'time, trade_id'
);
ALTER TABLE model_drift SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'symbol, freq, model_name',
    timescaledb.orderby = 'time, metric'
);

-- Same columns, order and days as the view it takes the place of. Read together with the rows that came after
-- the last refresh; filled by its policy, because filling it cannot be part of a transaction.
DROP VIEW daily_performance;
CREATE MATERIALIZED VIEW daily_performance
WITH (timescaledb.continuous, timescaledb.materialized_only = FALSE) AS
SELECT
    time_bucket(INTERVAL '1 day', time) AS day,
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
GROUP BY time_bucket(INTERVAL '1 day', time), symbol, model_name, freq, source, sample
WITH NO DATA;
