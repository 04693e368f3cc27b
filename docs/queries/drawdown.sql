-- title: Drawdown of every model
-- answers: How deep did a model fall below its best, and is it still there?
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
-- column: trades | trades that have ended
-- column: total_pnl | profit after fees, quote currency
-- column: max_drawdown | deepest fall of the summed profit below its best so far, quote currency
-- column: peak_time | exit at which that best was reached, UTC; NULL: before the first trade
-- column: trough_time | exit at the deepest point, UTC; NULL where it never fell
-- column: current_drawdown | how far below its best it is now, quote currency

WITH curve AS (
    SELECT
        symbol,
        freq,
        source,
        account,
        model_name,
        sample,
        exit_time,
        trade_id,
        time,
        sum(pnl) OVER book AS equity
    FROM trades
    WHERE status = 'CLOSED'
      AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
      AND (CAST(:freq AS text) IS NULL OR freq = :freq)
      AND (CAST(:model AS text) IS NULL OR model_name = :model)
      AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
    WINDOW book AS (
        PARTITION BY symbol, freq, source, account, model_name, sample
        ORDER BY exit_time, time, trade_id
        ROWS UNBOUNDED PRECEDING
    )
),

best AS (
    SELECT
        *,
        -- it starts at zero: a model that only ever lost has fallen from there
        greatest(0, max(equity) OVER book) AS peak,
        row_number() OVER book AS place,
        count(*) OVER (PARTITION BY symbol, freq, source, account, model_name, sample) AS trades
    FROM curve
    WINDOW book AS (
        PARTITION BY symbol, freq, source, account, model_name, sample
        ORDER BY exit_time, time, trade_id
        ROWS UNBOUNDED PRECEDING
    )
),

deepest AS (
    SELECT DISTINCT ON (symbol, freq, source, account, model_name, sample)
        *,
        peak - equity AS depth
    FROM best
    ORDER BY symbol, freq, source, account, model_name, sample, peak - equity DESC, place
)

SELECT
    d.symbol,
    d.freq,
    d.source,
    d.account,
    d.model_name,
    d.sample,
    d.trades,
    newest.equity AS total_pnl,
    d.depth AS max_drawdown,
    CASE WHEN d.depth > 0 THEN reached.exit_time END AS peak_time,
    CASE WHEN d.depth > 0 THEN d.exit_time END AS trough_time,
    newest.peak - newest.equity AS current_drawdown
FROM deepest AS d
JOIN best AS newest
    ON (newest.symbol, newest.freq, newest.source, newest.account) = (d.symbol, d.freq, d.source, d.account)
    AND newest.model_name IS NOT DISTINCT FROM d.model_name
    AND newest.sample IS NOT DISTINCT FROM d.sample
    AND newest.place = newest.trades
LEFT JOIN LATERAL (
    SELECT b.exit_time
    FROM best AS b
    WHERE (b.symbol, b.freq, b.source, b.account) = (d.symbol, d.freq, d.source, d.account)
      AND b.model_name IS NOT DISTINCT FROM d.model_name
      AND b.sample IS NOT DISTINCT FROM d.sample
      AND b.equity = d.peak
      AND b.place < d.place
    ORDER BY b.place DESC
    LIMIT 1
) AS reached ON TRUE
ORDER BY max_drawdown DESC, d.symbol, d.freq, d.source, d.account, d.model_name, d.sample;
