-- title: Signals and what followed
-- answers: Where did the price go after each signal?
-- reads: signals, ohlcv
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: variant | text | required | aggressive | the strategy
-- parameter: output | text | required | buy_signal_aggressive | output of the strategy: true at a signal
-- parameter: bars | integer 1..10000 | 4 | 12 | after so many klines the price is looked at
-- parameter: rows | integer 1..100000 | 100 | 20 | at most so many, the newest
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: time | open time of the signal's kline, UTC
-- column: sample | out_of_sample or live
-- column: close | close of the signal's kline, quote currency
-- column: entry_price | open of the next kline: the first price to be had; NULL if missing
-- column: exit_price | close of the last of the klines after it; NULL if missing or not there yet
-- column: return_pct | from entry to exit, in per cent, before fees and slippage

SELECT
    s.time,
    s.sample,
    s.close,
    e.open AS entry_price,
    x.close AS exit_price,
    100 * (x.close / e.open - 1) AS return_pct
FROM signals AS s
LEFT JOIN ohlcv AS e
    ON e.symbol = s.symbol AND e.freq = s.freq AND e.time = s.time + CAST(:freq AS interval)
LEFT JOIN ohlcv AS x
    ON x.symbol = s.symbol AND x.freq = s.freq AND x.time = s.time + :bars * CAST(:freq AS interval)
WHERE s.symbol = :symbol
  AND s.freq = :freq
  AND s.variant = :variant
  AND s.sample <> 'in_sample'
  AND s.outputs -> CAST(:output AS text) = 'true'
  AND (CAST(:since AS timestamptz) IS NULL OR s.time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR s.time < :until)
ORDER BY s.time DESC
LIMIT :rows;
