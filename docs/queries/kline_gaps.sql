-- title: Gaps in the klines of a market
-- answers: Where are klines missing, and how many?
-- reads: ohlcv
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: rows | integer 1..100000 | 100 | 10 | at most so many gaps, the longest
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: first_missing | open time of the first kline that is missing, UTC
-- column: last_missing | open time of the last one, UTC
-- column: missing | klines that are missing
-- column: hours | length of the gap, in hours

WITH pairs AS (
    SELECT
        time,
        lead(time) OVER (ORDER BY time) AS following,
        CAST(:freq AS interval) AS step
    FROM ohlcv
    WHERE symbol = :symbol
      AND freq = :freq
      AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
)

SELECT
    time + step AS first_missing,
    following - step AS last_missing,
    CAST(round(extract(epoch FROM following - time) / extract(epoch FROM step)) AS bigint) - 1 AS missing,
    CAST(extract(epoch FROM following - time - step) AS double precision) / 3600 AS hours
FROM pairs
WHERE following > time + step
ORDER BY missing DESC, first_missing
LIMIT :rows;
