-- title: Recent features of a market
-- answers: Which features would a model see now?
-- reads: features
-- parameter: symbol | symbol | required | BTCUSDT | the market's symbol
-- parameter: freq | freq | required | 5m | the market's freq
-- parameter: hours | integer 1..87600 | 1 | 24 | how far back, in hours
-- parameter: rows | integer 1..100000 | 12 | 288 | at most so many rows, the newest
-- parameter: at | time | now | 2024-06-01T12:00 | the time to look from, UTC
-- column: symbol | the market's symbol
-- column: freq | the market's freq
-- column: time | open time of the kline, UTC
-- column: * | one column a feature; NULL where it is unknown

SELECT *
FROM features
WHERE symbol = :symbol
  AND freq = :freq
  AND time >= CAST(:at AS timestamptz) - make_interval(hours => :hours)
  AND time <= CAST(:at AS timestamptz)
ORDER BY time DESC
LIMIT :rows;
