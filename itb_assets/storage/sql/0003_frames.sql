-- Every frame of a market in a table: features, labels, and what has no table of its own.

-- Columns are added on demand, one a feature or label; `columns` says which name each stands for.
CREATE TABLE features (
    symbol text NOT NULL,
    freq text NOT NULL,
    time timestamptz NOT NULL,
    PRIMARY KEY (symbol, freq, time)
);
CREATE TABLE labels (
    symbol text NOT NULL,
    freq text NOT NULL,
    time timestamptz NOT NULL,
    PRIMARY KEY (symbol, freq, time)
);
COMMENT ON TABLE features IS 'one row a kline of the grid; NULL is unknown; names in table columns';
COMMENT ON TABLE labels IS 'one row a kline of the grid; NULL is unknown; names in table columns';

-- Rows of frames that nobody queries by column (performance, drift): one JSON object a row.
CREATE TABLE summaries (
    symbol text NOT NULL,
    freq text NOT NULL,
    time timestamptz NOT NULL,
    asset text NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (symbol, freq, time, asset)
);

-- What each column of features and labels is called in strategies, and what defines its values.
CREATE TABLE columns (
    table_name text NOT NULL,
    column_name text NOT NULL,
    name text NOT NULL,
    definition text NOT NULL,
    previous text,
    dtype text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, column_name),
    UNIQUE (table_name, name)
);
COMMENT ON COLUMN columns.definition IS 'canonical text; empty where it was never told';
COMMENT ON COLUMN columns.previous IS 'the definition before the last time it was redefined';

-- The whole record of a frame. NULL in rows that an older version wrote: unknown.
ALTER TABLE manifests ADD COLUMN manifest text;
COMMENT ON COLUMN manifests.manifest IS 'JSON: columns, times, versions and changes of the frame';
ALTER TABLE manifests ADD COLUMN present text;
COMMENT ON COLUMN manifests.present IS 'JSON: the columns of features or labels that the rows of this frame fill';

-- A score that is unknown has a row too, so that the frame comes back whole.
ALTER TABLE predictions ALTER COLUMN probability DROP NOT NULL;
ALTER TABLE predictions ALTER COLUMN prediction DROP NOT NULL;
