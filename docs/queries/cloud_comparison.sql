-- title: Clouds compared by model name
-- answers: Do the models of one cloud earn more than those of another?
-- reads: daily_performance
-- parameter: days | integer 1..36500 | 7 | 30 | how far back, in days
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: source | text | any | paper | only trades of this source
-- parameter: at | time | now | 2024-06-01T12:00 | the time to look from, UTC
-- column: cloud | Azure, GCP or AWS where the model's name says so, else other
-- column: quote | currency the money is in; the symbol itself where it is not known
-- column: source | paper, or the exchange that executed them
-- column: sample | out_of_sample or live; of executed trades none
-- column: models | different model names
-- column: total_trades | trades that have ended
-- column: win_rate | fraction of the trades with a profit after fees
-- column: avg_win_rate | mean of the models' daily win rates, each day counted once
-- column: total_profit | profit after fees, in the quote currency

WITH days AS (
    SELECT
        CASE
            WHEN model_name ILIKE '%azure%' THEN 'Azure'
            WHEN model_name ILIKE '%gcp%' THEN 'GCP'
            WHEN model_name ILIKE '%aws%' THEN 'AWS'
            ELSE 'other'
        END AS cloud,
        coalesce(
            substring(symbol FROM '.(FDUSD|USDT|USDC|TUSD|BUSD|USD|EUR|GBP|TRY|BRL|BTC|ETH|BNB)$'),
            symbol
        ) AS quote,
        source,
        sample,
        model_name,
        total_trades,
        win_rate,
        total_pnl
    FROM daily_performance
    WHERE day >= CAST(:at AS timestamptz) - make_interval(days => :days)
      AND day <= CAST(:at AS timestamptz)
      AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
      AND (CAST(:source AS text) IS NULL OR source = :source)
)

SELECT
    cloud,
    quote,
    source,
    sample,
    count(DISTINCT model_name) AS models,
    CAST(sum(total_trades) AS bigint) AS total_trades,
    sum(win_rate * total_trades) / sum(total_trades) AS win_rate,
    avg(win_rate) AS avg_win_rate,
    sum(total_pnl) AS total_profit
FROM days
GROUP BY cloud, quote, source, sample
ORDER BY cloud, quote, source, sample;
