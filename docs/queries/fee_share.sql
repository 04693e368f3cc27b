-- title: Fees against what was earned before them
-- answers: How much of the gross profit do fees take?
-- reads: trades
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: freq | freq | any | 5m | only trades on paper of this freq; executed trades have none
-- parameter: model | text | any | aggressive | only trades of this model name; on paper that is the variant
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- column: symbol | the market's symbol; money of two symbols is never added up
-- column: freq | freq of the klines of trades on paper, empty of executed ones
-- column: source | paper, or the exchange that executed them
-- column: account | variant of trades on paper, account of executed ones
-- column: model_name | model the trades are of, where it is known
-- column: sample | out_of_sample or live; of executed trades none
-- column: month | first instant of the month of the entry, UTC
-- column: trades | trades that have ended
-- column: gross_pnl | profit before fees, quote currency
-- column: fees | quote currency
-- column: pnl | profit after fees, quote currency
-- column: fee_share | fees as a fraction of the gross profit; NULL where that is not above zero
-- column: fees_bps | fees in hundredths of a per cent of what was traded, both sides
-- column: uncounted | trades with fees in assets of unknown worth, which are in none of these

SELECT
    symbol,
    freq,
    source,
    account,
    model_name,
    sample,
    date_trunc('month', time, 'UTC') AS month,
    count(*) AS trades,
    sum(gross_pnl) AS gross_pnl,
    sum(fees) AS fees,
    sum(pnl) AS pnl,
    CASE WHEN sum(gross_pnl) > 0 THEN CAST(sum(fees) / sum(gross_pnl) AS double precision) END AS fee_share,
    CAST(10000 * sum(fees) / nullif(sum(quantity * (price + exit_price)), 0) AS double precision) AS fees_bps,
    count(*) FILTER (WHERE other_fees IS NOT NULL) AS uncounted
FROM trades
WHERE status = 'CLOSED'
  AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
  AND (CAST(:freq AS text) IS NULL OR freq = :freq)
  AND (CAST(:model AS text) IS NULL OR model_name = :model)
  AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, 2, 3, 4, 5, 6, 7;
