-- title: Klines of a coarser freq
-- answers: How does the market look in longer klines?
-- reads: ohlcv
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: to | coarser freq | required | 1h | freq of the longer klines: a multiple of the market's
-- parameter: rows | integer 1..1000000 | 500 | 24 | at most so many, the newest
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: time | open time of the longer kline, UTC
-- column: open | price of its first kline
-- column: high | highest price
-- column: low | lowest price
-- column: close | price of its last kline
-- column: volume | base currency
-- column: quote_av | volume in quote currency
-- column: trades | trades on the exchange
-- column: klines | klines it is made of
-- column: complete | whether none of them is missing

SELECT
    date_bin(CAST(:to AS interval), time, TIMESTAMPTZ '1970-01-01Z') AS time,
    (array_agg(open ORDER BY ohlcv.time))[1] AS open,
    max(high) AS high,
    min(low) AS low,
    (array_agg(close ORDER BY ohlcv.time DESC))[1] AS close,
    sum(volume) AS volume,
    sum(quote_av) AS quote_av,
    CAST(sum(trades) AS bigint) AS trades,
    count(*) AS klines,
    count(*) * CAST(:freq AS interval) = CAST(:to AS interval) AS complete
FROM ohlcv
WHERE symbol = :symbol
  AND freq = :freq
  AND (CAST(:since AS timestamptz) IS NULL OR ohlcv.time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR ohlcv.time < :until)
GROUP BY 1
ORDER BY 1 DESC
LIMIT :rows;
