-- title: Range of a feature, by month
-- answers: Is a feature missing, stuck or out of its range?
-- reads: features
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: feature | column of features | required | close_RSI_14 | the feature
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: month | first instant of the month, UTC
-- column: rows | klines
-- column: unknown | klines where the feature is NULL
-- column: unknown_share | as a fraction of the rows
-- column: distinct_values | different values: 1 where it is stuck
-- column: lowest | lowest value
-- column: p01 | one per cent lie below
-- column: median | half lie below
-- column: p99 | one per cent lie above
-- column: highest | highest value
-- column: mean | mean value
-- column: stddev | standard deviation

SELECT
    date_trunc('month', time, 'UTC') AS month,
    count(*) AS rows,
    count(*) - count(:"feature") AS unknown,
    CAST(count(*) - count(:"feature") AS double precision) / count(*) AS unknown_share,
    count(DISTINCT :"feature") AS distinct_values,
    min(:"feature") AS lowest,
    percentile_cont(0.01) WITHIN GROUP (ORDER BY :"feature") AS p01,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY :"feature") AS median,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY :"feature") AS p99,
    max(:"feature") AS highest,
    avg(:"feature") AS mean,
    stddev_samp(:"feature") AS stddev
FROM features
WHERE symbol = :symbol
  AND freq = :freq
  AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
GROUP BY 1
ORDER BY 1;
