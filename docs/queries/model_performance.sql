-- title: Model performance of the last days
-- answers: What did every model earn lately?
-- reads: daily_performance
-- parameter: days | integer 1..36500 | 30 | 7 | how far back, in days
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: source | text | any | paper | only trades of this source
-- parameter: at | time | now | 2024-06-01T12:00 | the time to look from, UTC
-- column: symbol | the market's symbol; money of two symbols is never added up
-- column: freq | freq of the klines of trades on paper, empty of executed ones
-- column: source | paper, or the exchange that executed them
-- column: model_name | model the trades are of, where it is known
-- column: sample | out_of_sample or live; of executed trades none
-- column: days_traded | days on which a trade was entered that has ended
-- column: total_trades | trades that have ended
-- column: win_rate | fraction of the trades with a profit after fees
-- column: total_pnl | profit after fees, quote currency
-- column: avg_pnl | profit of a trade, quote currency
-- column: max_win | best trade, quote currency
-- column: max_loss | worst trade, quote currency

SELECT
    symbol,
    freq,
    source,
    model_name,
    sample,
    count(*) AS days_traded,
    CAST(sum(total_trades) AS bigint) AS total_trades,
    -- weighed by trades: the mean of daily rates would count a day of one trade like one of fifty
    sum(win_rate * total_trades) / sum(total_trades) AS win_rate,
    sum(total_pnl) AS total_pnl,
    CAST(sum(total_pnl) / sum(total_trades) AS double precision) AS avg_pnl,
    max(max_win) AS max_win,
    min(max_loss) AS max_loss
FROM daily_performance
WHERE day >= CAST(:at AS timestamptz) - make_interval(days => :days)
  AND day <= CAST(:at AS timestamptz)
  AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
  AND (CAST(:source AS text) IS NULL OR source = :source)
GROUP BY symbol, freq, source, model_name, sample
ORDER BY total_pnl DESC, symbol, freq, source, model_name, sample;
