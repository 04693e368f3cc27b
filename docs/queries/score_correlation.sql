-- title: Two models' scores compared
-- answers: Do two models say the same?
-- reads: predictions
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: model | text | required | lgbm_aggressive | one model: its algo and variant
-- parameter: other | text | required | logreg_aggressive | the other model
-- parameter: label | text | required | high_040_4 | what the first model's score is of
-- parameter: other_label | text | any | low_040_4 | what the other's is of, where it differs
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: sample | of both scores: out_of_sample or live, never together
-- column: month | first instant of the month, UTC
-- column: rows | klines that both scored in the same sample
-- column: correlation | Pearson's, of the scores; NULL where one of them never moves
-- column: agreement | fraction of the rows where both are on the same side of one half
-- column: mean_score | mean of the first model's scores
-- column: mean_other | mean of the other's

SELECT
    a.sample,
    date_trunc('month', a.time, 'UTC') AS month,
    count(*) AS rows,
    corr(a.probability, b.probability) AS correlation,
    CAST(count(*) FILTER (WHERE a.prediction = b.prediction) AS double precision) / count(*) AS agreement,
    avg(a.probability) AS mean_score,
    avg(b.probability) AS mean_other
FROM predictions AS a
JOIN predictions AS b
    ON b.symbol = a.symbol AND b.freq = a.freq AND b.time = a.time AND b.sample = a.sample
WHERE a.symbol = :symbol
  AND a.freq = :freq
  AND a.model_name = :model
  AND a.label = :label
  AND b.model_name = :other
  AND b.label = coalesce(CAST(:other_label AS text), :label)
  AND a.sample <> 'in_sample'
  AND a.probability IS NOT NULL
  AND b.probability IS NOT NULL
  AND (CAST(:since AS timestamptz) IS NULL OR a.time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR a.time < :until)
GROUP BY 1, 2
ORDER BY 1, 2;
