-- title: Win rate of every model, with its bounds
-- answers: How sure is a win rate?
-- reads: trades
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: freq | freq | any | 5m | only trades on paper of this freq; executed trades have none
-- parameter: model | text | any | aggressive | only trades of this model name; on paper that is the variant
-- parameter: since | time | any | 2024-06-01 | from this time on, UTC
-- parameter: until | time | any | 2024-07-01 | before this time, UTC
-- parameter: z | number 0.1..10 | 1.959963984540054 | 1.6448536269514722 | standard deviations: 1.96 is 95 %
-- column: symbol | the market's symbol; money of two symbols is never added up
-- column: freq | freq of the klines of trades on paper, empty of executed ones
-- column: source | paper, or the exchange that executed them
-- column: account | variant of trades on paper, account of executed ones
-- column: model_name | model the trades are of, where it is known
-- column: sample | out_of_sample or live; of executed trades none
-- column: trades | trades that have ended
-- column: wins | those with a profit after fees
-- column: win_rate | wins as a fraction of the trades
-- column: wilson_low | lower bound of Wilson's interval
-- column: wilson_high | upper bound
-- column: break_even | win rate at which the mean win and the mean loss cancel out; NULL without both

WITH counted AS (
    SELECT
        symbol,
        freq,
        source,
        account,
        model_name,
        sample,
        CAST(count(*) AS double precision) AS n,
        CAST(count(*) FILTER (WHERE pnl > 0) AS double precision) AS wins,
        CAST(:z AS double precision) AS z,
        CAST(avg(pnl) FILTER (WHERE pnl > 0) AS double precision) AS mean_win,
        CAST(-avg(pnl) FILTER (WHERE pnl <= 0) AS double precision) AS mean_loss
    FROM trades
    WHERE status = 'CLOSED'
      AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
      AND (CAST(:freq AS text) IS NULL OR freq = :freq)
      AND (CAST(:model AS text) IS NULL OR model_name = :model)
      AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR time < :until)
    GROUP BY 1, 2, 3, 4, 5, 6
),

bounds AS (
    SELECT
        *,
        (wins + z * z / 2) / (n + z * z) AS middle,
        z * sqrt(wins * (n - wins) / n + z * z / 4) / (n + z * z) AS half
    FROM counted
)

SELECT
    symbol,
    freq,
    source,
    account,
    model_name,
    sample,
    CAST(n AS bigint) AS trades,
    CAST(wins AS bigint) AS wins,
    wins / n AS win_rate,
    CASE WHEN wins = 0 THEN 0 ELSE middle - half END AS wilson_low,
    CASE WHEN wins = n THEN 1 ELSE middle + half END AS wilson_high,
    mean_loss / nullif(mean_win + mean_loss, 0) AS break_even
FROM bounds
ORDER BY wilson_low DESC, symbol, freq, source, account, model_name, sample;
