-- title: Latest predictions of every model
-- answers: What does every model say now?
-- reads: manifests, predictions
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: freq | freq | any | 5m | only this freq
-- parameter: variant | text | any | aggressive | only models of this variant
-- parameter: at | time | now | 2024-06-01T12:00 | the time to look from, UTC
-- column: symbol | the market's symbol
-- column: freq | the market's freq
-- column: model_name | algo and variant
-- column: label | what the score is of
-- column: time | open time of the newest kline that was scored, UTC
-- column: probability | the score; NULL where it is unknown
-- column: prediction | whether the score is above one half
-- column: sample | in_sample, out_of_sample or live
-- column: age_minutes | minutes since that kline closed

SELECT
    p.symbol,
    p.freq,
    p.model_name,
    p.label,
    p.time,
    p.probability,
    p.prediction,
    p.sample,
    CAST(
        extract(epoch FROM CAST(:at AS timestamptz) - p.time - CAST(p.freq AS interval)) AS double precision
    ) / 60 AS age_minutes
FROM (
    SELECT symbol, freq, substr(asset, strpos(asset, '/') + 1) AS variant
    FROM manifests
    WHERE asset LIKE 'predictions/%'
) AS m
CROSS JOIN LATERAL (
    SELECT n.time
    FROM predictions AS n
    WHERE n.symbol = m.symbol
      AND n.freq = m.freq
      AND substr(n.model_name, strpos(n.model_name, '_') + 1) = m.variant
    ORDER BY n.time DESC
    LIMIT 1
) AS newest
JOIN predictions AS p
    ON p.symbol = m.symbol
    AND p.freq = m.freq
    AND p.time = newest.time
    AND substr(p.model_name, strpos(p.model_name, '_') + 1) = m.variant
WHERE (CAST(:symbol AS text) IS NULL OR m.symbol = :symbol)
  AND (CAST(:freq AS text) IS NULL OR m.freq = :freq)
  AND (CAST(:variant AS text) IS NULL OR m.variant = :variant)
ORDER BY p.symbol, p.freq, p.model_name, p.label;
