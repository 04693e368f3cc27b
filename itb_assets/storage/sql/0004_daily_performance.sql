-- Days by date_bin, which unlike date_trunc can be indexed: the last 30 days are read without looking at all.

CREATE OR REPLACE VIEW daily_performance AS
SELECT
    date_bin('1 day', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
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
GROUP BY
    date_bin('1 day', time, TIMESTAMPTZ '2000-01-01 00:00:00+00'),
    symbol, model_name, freq, source, sample;

CREATE INDEX trades_closed_day ON trades (date_bin('1 day', time, TIMESTAMPTZ '2000-01-01 00:00:00+00'))
WHERE status = 'CLOSED';
