-- title: Signals by month
-- answers: How often does every rule of a strategy speak?
-- reads: signals
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: variant | text | any | aggressive | only this strategy
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: variant | the strategy
-- column: output | name of the yes-or-no output
-- column: sample | in_sample, out_of_sample or live, never together
-- column: month | first instant of the month, UTC
-- column: rows | klines with that output
-- column: signals | klines where it is true
-- column: share | signals as a fraction of the rows

SELECT
    s.variant,
    o.key AS output,
    s.sample,
    date_trunc('month', s.time, 'UTC') AS month,
    count(*) AS rows,
    count(*) FILTER (WHERE o.value = 'true') AS signals,
    CAST(count(*) FILTER (WHERE o.value = 'true') AS double precision) / count(*) AS share
FROM signals AS s
CROSS JOIN LATERAL jsonb_each(s.outputs) AS o
WHERE s.symbol = :symbol
  AND s.freq = :freq
  AND jsonb_typeof(o.value) = 'boolean'
  AND (CAST(:variant AS text) IS NULL OR s.variant = :variant)
  AND (CAST(:since AS timestamptz) IS NULL OR s.time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR s.time < :until)
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4;
