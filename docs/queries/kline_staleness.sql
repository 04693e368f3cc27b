-- title: Newest kline of every market
-- answers: Which market has stopped getting klines?
-- reads: manifests, ohlcv
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: freq | freq | any | 5m | only this freq
-- parameter: at | time | now | 2024-06-01T12:00 | the time to look from, UTC
-- column: symbol | the market's symbol
-- column: freq | the market's freq
-- column: newest | open time of the newest kline, UTC
-- column: close | its close, quote currency
-- column: age_minutes | minutes since it closed
-- column: klines_behind | whole klines that have closed since

SELECT
    m.symbol,
    m.freq,
    k.time AS newest,
    k.close,
    CAST(extract(epoch FROM age.since_close) AS double precision) / 60 AS age_minutes,
    CAST(floor(extract(epoch FROM age.since_close) / extract(epoch FROM CAST(m.freq AS interval))) AS bigint)
        AS klines_behind
FROM manifests AS m
LEFT JOIN LATERAL (
    SELECT o.time, o.close
    FROM ohlcv AS o
    WHERE o.symbol = m.symbol
      AND o.freq = m.freq
    ORDER BY o.time DESC
    LIMIT 1
) AS k ON TRUE
CROSS JOIN LATERAL (
    SELECT CAST(:at AS timestamptz) - (k.time + CAST(m.freq AS interval)) AS since_close
) AS age
WHERE m.asset = 'raw/klines'
  AND (CAST(:symbol AS text) IS NULL OR m.symbol = :symbol)
  AND (CAST(:freq AS text) IS NULL OR m.freq = :freq)
ORDER BY klines_behind DESC NULLS FIRST, m.symbol, m.freq;
