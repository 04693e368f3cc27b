-- What the pipeline stores beside its files. Times are open times, prices and probabilities are doubles.

CREATE TABLE ohlcv (
    symbol text NOT NULL,
    freq text NOT NULL,
    time timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    close_time bigint NOT NULL,
    quote_av double precision NOT NULL,
    trades bigint NOT NULL,
    tb_base_av double precision NOT NULL,
    tb_quote_av double precision NOT NULL,
    ignore double precision NOT NULL,
    PRIMARY KEY (symbol, freq, time)
);

-- One row a score; model_name is {algo}_{variant}, and an algo has no underscore.
CREATE TABLE predictions (
    symbol text NOT NULL,
    freq text NOT NULL,
    time timestamptz NOT NULL,
    model_name text NOT NULL,
    label text NOT NULL,
    probability double precision NOT NULL,
    prediction boolean NOT NULL,
    sample text NOT NULL CHECK (sample IN ('in_sample', 'out_of_sample', 'live')),
    PRIMARY KEY (symbol, freq, time, model_name, label)
);

-- A strategy names its outputs itself, so they are one object: name -> number, true, false or null.
CREATE TABLE signals (
    symbol text NOT NULL,
    freq text NOT NULL,
    time timestamptz NOT NULL,
    variant text NOT NULL,
    sample text NOT NULL CHECK (sample IN ('in_sample', 'out_of_sample', 'live')),
    close double precision,
    outputs jsonb NOT NULL,
    PRIMARY KEY (symbol, freq, time, variant)
);

-- What each asset's rows are a copy of: committed with the rows, compared with the file's manifest.
CREATE TABLE manifests (
    symbol text NOT NULL,
    freq text NOT NULL,
    asset text NOT NULL,
    rows bigint NOT NULL,
    sha256 text NOT NULL,
    version bigint NOT NULL,
    run_id text NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (symbol, freq, asset)
);
