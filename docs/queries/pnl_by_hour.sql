-- title: P&L by hour of the day
-- answers: At which hours does a model win and lose?
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
-- column: hour | hour of the entry, 0 to 23 UTC
-- column: trades | trades that have ended
-- column: win_rate | fraction of them with a profit after fees
-- column: total_pnl | profit after fees, quote currency
-- column: avg_pnl | profit of a trade, quote currency

SELECT
    symbol,
    freq,
    source,
    account,
    model_name,
    sample,
    CAST(extract(hour FROM time AT TIME ZONE 'UTC') AS integer) AS hour,
    count(*) AS trades,
    CAST(count(*) FILTER (WHERE pnl > 0) AS double precision) / count(*) AS win_rate,
    sum(pnl) AS total_pnl,
    CAST(avg(pnl) AS double precision) AS avg_pnl
FROM trades
WHERE status = 'CLOSED'
  AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
  AND (CAST(:freq AS text) IS NULL OR freq = :freq)
  AND (CAST(:model AS text) IS NULL OR model_name = :model)
  AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, 2, 3, 4, 5, 6, 7;
