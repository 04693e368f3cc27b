-- title: Trades that lost most
-- answers: Which trades hurt most, and what had the model said?
-- reads: trades
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: freq | freq | any | 5m | only trades on paper of this freq; executed trades have none
-- parameter: model | text | any | aggressive | only trades of this model name; on paper that is the variant
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- parameter: source | text | any | paper | only trades of this source
-- parameter: rows | integer 1..10000 | 20 | 50 | at most so many of each symbol
-- column: symbol | the market's symbol; money of two symbols is never added up
-- column: freq | freq of the klines of trades on paper, empty of executed ones
-- column: source | paper, or the exchange that executed them
-- column: account | variant of trades on paper, account of executed ones
-- column: model_name | model the trades are of, where it is known
-- column: sample | out_of_sample or live; of executed trades none
-- column: trade_id | the position's name
-- column: time | when it was entered, UTC
-- column: exit_time | when it ended, UTC
-- column: side | BUY is long, SELL is short
-- column: price | at entry, quote currency
-- column: exit_price | quote currency
-- column: exit_reason | how it ended; NULL of executed trades
-- column: signal_strength | score of the signal; NULL where there is none
-- column: pnl | loss after fees, quote currency
-- column: return_pct | after fees, in per cent of the entry

WITH ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY symbol ORDER BY pnl, time, source, account, trade_id) AS place
    FROM trades
    WHERE status = 'CLOSED'
      AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
      AND (CAST(:freq AS text) IS NULL OR freq = :freq)
      AND (CAST(:model AS text) IS NULL OR model_name = :model)
      AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
      AND (CAST(:source AS text) IS NULL OR source = :source)
      AND pnl < 0
)

SELECT
    symbol,
    freq,
    source,
    account,
    model_name,
    sample,
    trade_id,
    time,
    exit_time,
    side,
    price,
    exit_price,
    exit_reason,
    signal_strength,
    pnl,
    return_pct
FROM ranked
WHERE place <= :rows
ORDER BY symbol, place;
