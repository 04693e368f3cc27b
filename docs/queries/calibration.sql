-- title: Calibration of a model
-- answers: When the model says 60 %, does it happen 6 times of 10?
-- reads: predictions, labels
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: label | column of labels | required | high_040_4 | the label
-- parameter: model | text | any | lgbm_aggressive | only this model: its algo and variant
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: model_name | algo and variant
-- column: sample | out_of_sample or live, never together
-- column: decile | 1 for the lowest tenth of the probabilities, 10 for the highest
-- column: rows | klines with a known score and a known label
-- column: lowest | lowest probability of the tenth
-- column: highest | highest one
-- column: mean_probability | what the model says on average
-- column: observed_rate | fraction whose label came true
-- column: difference | observed_rate less mean_probability

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
),

ranked AS (
    SELECT
        *,
        ntile(10) OVER (PARTITION BY model_name, sample ORDER BY probability, time) AS decile
    FROM judged
)

SELECT
    model_name,
    sample,
    decile,
    count(*) AS rows,
    min(probability) AS lowest,
    max(probability) AS highest,
    avg(probability) AS mean_probability,
    avg(CAST(CAST(truth AS integer) AS double precision)) AS observed_rate,
    avg(CAST(CAST(truth AS integer) AS double precision)) - avg(probability) AS difference
FROM ranked
GROUP BY model_name, sample, decile
ORDER BY model_name, sample, decile;
