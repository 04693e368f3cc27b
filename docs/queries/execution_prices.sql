-- title: Executed prices against the market
-- answers: At what price were orders executed, beside the kline they fell in?
-- reads: trades, ohlcv
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: rows | integer 1..100000 | 100 | 20 | at most so many, the newest
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: time | when the position was entered, UTC
-- column: source | the exchange
-- column: account | the account
-- column: trade_id | the position's name
-- column: side | BUY is long, SELL is short
-- column: price | paid, quote currency
-- column: kline | open time of the kline of the entry, UTC
-- column: open | its open, quote currency
-- column: slippage_bps | worse than that open, in hundredths of a per cent; below 0 it was better
-- column: inside | whether the price lies between the kline's low and high; no: look at the data

SELECT
    t.time,
    t.source,
    t.account,
    t.trade_id,
    t.side,
    t.price,
    k.time AS kline,
    k.open,
    CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END
        * 10000 * (CAST(t.price AS double precision) / k.open - 1) AS slippage_bps,
    CAST(t.price AS double precision) BETWEEN k.low AND k.high AS inside
FROM trades AS t
LEFT JOIN ohlcv AS k
    ON k.symbol = t.symbol
    AND k.freq = :freq
    AND k.time = date_bin(CAST(:freq AS interval), t.time, TIMESTAMPTZ '1970-01-01Z')
WHERE t.symbol = :symbol
  AND t.source <> 'paper'
  AND (CAST(:since AS timestamptz) IS NULL OR t.time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR t.time < :until)
ORDER BY t.time DESC, t.source, t.account, t.trade_id
LIMIT :rows;
