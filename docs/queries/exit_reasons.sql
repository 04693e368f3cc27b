-- title: How positions ended
-- answers: Which way out earns, and which one costs?
-- reads: trades
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: freq | freq | any | 5m | only trades on paper of this freq; executed trades have none
-- parameter: model | text | any | aggressive | only trades of this model name; on paper that is the variant
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: symbol | the market's symbol; money of two symbols is never added up
-- column: freq | freq of the klines of trades on paper, empty of executed ones
-- column: source | paper, or the exchange that executed them
-- column: account | variant of trades on paper, account of executed ones
-- column: model_name | model the trades are of, where it is known
-- column: sample | out_of_sample or live; of executed trades none
-- column: exit_reason | take_profit, stop_loss, time_limit or opposite_signal; NULL of executed trades
-- column: trades | trades that ended so
-- column: share | as a fraction of the model's trades
-- column: win_rate | fraction with a profit after fees
-- column: total_pnl | profit after fees, quote currency
-- column: avg_return_pct | mean return after fees, in per cent of the entry
-- column: mean_hours | mean time from entry to exit, in hours

SELECT
    symbol,
    freq,
    source,
    account,
    model_name,
    sample,
    exit_reason,
    count(*) AS trades,
    CAST(count(*) AS double precision)
        / CAST(sum(count(*)) OVER book AS double precision) AS share,
    CAST(count(*) FILTER (WHERE pnl > 0) AS double precision) / count(*) AS win_rate,
    sum(pnl) AS total_pnl,
    CAST(avg(return_pct) AS double precision) AS avg_return_pct,
    CAST(avg(extract(epoch FROM exit_time - time)) AS double precision) / 3600 AS mean_hours
FROM trades
WHERE status = 'CLOSED'
  AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
  AND (CAST(:freq AS text) IS NULL OR freq = :freq)
  AND (CAST(:model AS text) IS NULL OR model_name = :model)
  AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
GROUP BY 1, 2, 3, 4, 5, 6, 7
WINDOW book AS (PARTITION BY symbol, freq, source, account, model_name, sample)
ORDER BY 1, 2, 3, 4, 5, 6, 7;
