-- title: Return after a signal, against any kline
-- answers: Is the price after a signal any different from the price after no signal?
-- reads: signals, ohlcv
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: variant | text | required | aggressive | the strategy
-- parameter: output | text | required | buy_signal_aggressive | output of the strategy: true at a signal
-- parameter: bars | integer 1..10000 | 4 | 12 | after so many klines the price is looked at
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: sample | out_of_sample or live, never together
-- column: signal | yes: rows with the signal; no: all the other rows of the strategy
-- column: rows | klines whose return is known
-- column: mean_pct | mean return in per cent, before fees and slippage
-- column: median_pct | median return
-- column: stddev_pct | standard deviation of the returns
-- column: rising | fraction of the returns above zero

SELECT
    s.sample,
    CASE WHEN s.outputs -> CAST(:output AS text) = 'true' THEN 'yes' ELSE 'no' END AS signal,
    count(*) AS rows,
    avg(r.pct) AS mean_pct,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY r.pct) AS median_pct,
    stddev_samp(r.pct) AS stddev_pct,
    CAST(count(*) FILTER (WHERE r.pct > 0) AS double precision) / count(*) AS rising
FROM signals AS s
JOIN ohlcv AS e
    ON e.symbol = s.symbol AND e.freq = s.freq AND e.time = s.time + CAST(:freq AS interval)
JOIN ohlcv AS x
    ON x.symbol = s.symbol AND x.freq = s.freq AND x.time = s.time + :bars * CAST(:freq AS interval)
CROSS JOIN LATERAL (SELECT 100 * (x.close / e.open - 1) AS pct) AS r
WHERE s.symbol = :symbol
  AND s.freq = :freq
  AND s.variant = :variant
  AND s.sample <> 'in_sample'
  AND s.outputs ? CAST(:output AS text)
  AND (CAST(:since AS timestamptz) IS NULL OR s.time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR s.time < :until)
GROUP BY 1, 2
ORDER BY 1, 2 DESC;
