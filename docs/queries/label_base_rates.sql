-- title: How often a label is true, by month
-- answers: Does the label still occur as often as it used to?
-- reads: labels
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: label | column of labels | required | high_040_4 | the label
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: month | first instant of the month, UTC
-- column: rows | klines
-- column: known | klines whose label is known
-- column: positives | klines whose label is true
-- column: base_rate | positives as a fraction of the known; NULL where none is known

SELECT
    date_trunc('month', time, 'UTC') AS month,
    count(*) AS rows,
    count(:"label") AS known,
    count(*) FILTER (WHERE :"label") AS positives,
    CAST(count(*) FILTER (WHERE :"label") AS double precision) / nullif(count(:"label"), 0) AS base_rate
FROM labels
WHERE symbol = :symbol
  AND freq = :freq
  AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
GROUP BY 1
ORDER BY 1;
