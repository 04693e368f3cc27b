-- title: What the database holds
-- answers: How many rows of what are stored, and since when?
-- reads: manifests
-- parameter: symbol | symbol | any | BTCUSDT | only this symbol
-- parameter: freq | freq | any | 5m | only this freq
-- parameter: at | time | now | 2024-06-01T12:00 | the time to look from, UTC
-- column: symbol | the market's symbol; empty of executed trades
-- column: freq | the market's freq; empty of executed trades
-- column: asset | what the rows are a copy of
-- column: rows | rows stored
-- column: committed_at | when they last changed, UTC
-- column: age_hours | hours since
-- column: version | number of the change
-- column: run_id | the run that made it

SELECT
    symbol,
    freq,
    asset,
    rows,
    committed_at,
    CAST(extract(epoch FROM CAST(:at AS timestamptz) - committed_at) AS double precision) / 3600 AS age_hours,
    version,
    run_id
FROM manifests
WHERE (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
  AND (CAST(:freq AS text) IS NULL OR freq = :freq)
ORDER BY symbol, freq, asset;
