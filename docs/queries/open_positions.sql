-- title: Open positions
-- answers: What is held now, and what is it worth?
-- reads: trades, manifests, ohlcv
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: source | text | any | paper | only trades of this source
-- parameter: at | time | now | 2024-06-01T12:00 | the time to look from, UTC
-- column: symbol | the market's symbol; money of two symbols is never added up
-- column: freq | freq of the klines of trades on paper, empty of executed ones
-- column: source | paper, or the exchange that executed them
-- column: account | variant of trades on paper, account of executed ones
-- column: model_name | model the trades are of, where it is known
-- column: sample | out_of_sample or live; of executed trades none
-- column: trade_id | the position's name
-- column: time | when it was entered, UTC
-- column: age_hours | hours since
-- column: side | BUY is long, SELL is short
-- column: price | paid at entry, quote currency
-- column: quantity | base currency
-- column: take_profit | target price
-- column: stop_loss | stop price
-- column: last_price | close of the newest kline of the symbol
-- column: last_time | open time of that kline, UTC
-- column: unrealised | profit at last_price, before any fees, quote currency

SELECT
    t.symbol,
    t.freq,
    t.source,
    t.account,
    t.model_name,
    t.sample,
    t.trade_id,
    t.time,
    CAST(extract(epoch FROM CAST(:at AS timestamptz) - t.time) AS double precision) / 3600 AS age_hours,
    t.side,
    t.price,
    t.quantity,
    t.take_profit,
    t.stop_loss,
    k.close AS last_price,
    k.time AS last_time,
    CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END
        * CAST(t.quantity AS double precision)
        * (k.close - CAST(t.price AS double precision)) AS unrealised
FROM trades AS t
LEFT JOIN LATERAL (
    SELECT n.time, n.close
    FROM manifests AS m
    CROSS JOIN LATERAL (
        SELECT o.time, o.close
        FROM ohlcv AS o
        WHERE o.symbol = m.symbol
          AND o.freq = m.freq
        ORDER BY o.time DESC
        LIMIT 1
    ) AS n
    WHERE m.asset = 'raw/klines'
      AND m.symbol = t.symbol
      AND t.freq IN ('', m.freq)
    ORDER BY n.time + CAST(m.freq AS interval) DESC, n.time DESC
    LIMIT 1
) AS k ON TRUE
WHERE t.status = 'OPEN'
  AND (CAST(:symbol AS text) IS NULL OR t.symbol = :symbol)
  AND (CAST(:source AS text) IS NULL OR t.source = :source)
ORDER BY t.time DESC, t.symbol, t.freq, t.source, t.account, t.trade_id;
