-- title: Alarms of drift
-- answers: Which measures of which model have left what is usual?
-- reads: model_drift
-- parameter: days | integer 1..36500 | 7 | 30 | how far back, in days
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: freq | freq | any | 5m | only this freq
-- parameter: model | text | any | aggressive | only looks at this model: its variant
-- parameter: at | time | now | 2024-06-01T12:00 | the time to look from, UTC
-- column: symbol | the market's symbol
-- column: freq | the market's freq
-- column: model_name | the variant
-- column: metric | what was measured, and of what
-- column: verdict | the newest alarm: warning or error
-- column: alarms | looks that alarmed
-- column: looks | all looks at that measure in these days
-- column: first_alarm | time of the first one, UTC
-- column: last_alarm | time of the last one, UTC
-- column: value | what was measured at the last alarm
-- column: threshold | what it was held against
-- column: detail | in words

WITH looks AS (
    SELECT
        *,
        verdict IN ('warning', 'error') AS alarms
    FROM model_drift
    WHERE time > CAST(:at AS timestamptz) - make_interval(days => :days)
      AND time <= CAST(:at AS timestamptz)
      AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
      AND (CAST(:freq AS text) IS NULL OR freq = :freq)
      AND (CAST(:model AS text) IS NULL OR model_name = :model)
)

SELECT
    symbol,
    freq,
    model_name,
    metric,
    (array_agg(verdict ORDER BY time DESC) FILTER (WHERE alarms))[1] AS verdict,
    count(*) FILTER (WHERE alarms) AS alarms,
    count(*) AS looks,
    min(time) FILTER (WHERE alarms) AS first_alarm,
    max(time) FILTER (WHERE alarms) AS last_alarm,
    (array_agg(value ORDER BY time DESC) FILTER (WHERE alarms))[1] AS value,
    (array_agg(threshold ORDER BY time DESC) FILTER (WHERE alarms))[1] AS threshold,
    (array_agg(detail ORDER BY time DESC) FILTER (WHERE alarms))[1] AS detail
FROM looks
GROUP BY symbol, freq, model_name, metric
HAVING bool_or(alarms)
ORDER BY last_alarm DESC, symbol, freq, model_name, metric;
