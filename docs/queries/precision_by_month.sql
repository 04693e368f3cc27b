-- title: Precision at a threshold, by month
-- answers: How often is the model right when it calls?
-- reads: predictions, labels
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: label | column of labels | required | high_040_4 | the label
-- parameter: threshold | number 0..1 | 0.5 | 0.6 | a score at or above it is a call
-- parameter: model | text | any | lgbm_aggressive | only this model: its algo and variant
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: model_name | algo and variant
-- column: sample | out_of_sample or live, never together
-- column: month | first instant of the month, UTC
-- column: rows | klines with a known score and a known label
-- column: calls | scores at or above the threshold
-- column: hits | calls whose label came true
-- column: precision | hits as a fraction of the calls; NULL without calls
-- column: recall | hits as a fraction of all true labels; NULL without any
-- column: base_rate | fraction of all rows whose label is true: what calling blindly gives

WITH judged AS (
    SELECT
        p.time,
        p.model_name,
        p.sample,
        p.probability,
        l.:"label" AS truth
    FROM predictions AS p
    JOIN labels AS l ON l.symbol = p.symbol AND l.freq = p.freq AND l.time = p.time
    WHERE p.symbol = :symbol
      AND p.freq = :freq
      AND p.label = :label
      AND p.sample <> 'in_sample'
      AND p.probability IS NOT NULL
      AND l.:"label" IS NOT NULL
      AND (CAST(:model AS text) IS NULL OR p.model_name = :model)
      AND (CAST(:since AS timestamptz) IS NULL OR p.time >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR p.time < :until)
)

SELECT
    model_name,
    sample,
    date_trunc('month', time, 'UTC') AS month,
    count(*) AS rows,
    count(*) FILTER (WHERE probability >= :threshold) AS calls,
    count(*) FILTER (WHERE probability >= :threshold AND truth) AS hits,
    CAST(count(*) FILTER (WHERE probability >= :threshold AND truth) AS double precision)
        / nullif(count(*) FILTER (WHERE probability >= :threshold), 0) AS precision,
    CAST(count(*) FILTER (WHERE probability >= :threshold AND truth) AS double precision)
        / nullif(count(*) FILTER (WHERE truth), 0) AS recall,
    CAST(count(*) FILTER (WHERE truth) AS double precision) / count(*) AS base_rate
FROM judged
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
