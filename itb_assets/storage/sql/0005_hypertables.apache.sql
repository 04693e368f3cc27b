-- One chunk is a span of time of all markets; rows that are there already are moved into chunks.

SELECT create_hypertable(
    name::regclass,
    by_range('time', INTERVAL '90 days'),
    create_default_indexes => FALSE,
    migrate_data => TRUE
)
FROM unnest(ARRAY[
    'ohlcv', 'features', 'labels', 'predictions', 'signals', 'trades', 'model_drift'
]) AS name;
