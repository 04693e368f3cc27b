"""A local exchange that speaks Binance's API, for the first run, the tests and offline work.

Nothing in the pipeline may depend on it.
"""
