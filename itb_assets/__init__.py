"""The map of the house: from an exchange's klines to signals, as Dagster assets.

`errors` names what can go wrong; `domain` knows what is true of klines, features, labels, models
and signals and touches nothing outside itself; `sources` bring the world in; `storage` keeps it on
disk and in PostgreSQL; `observability` is what people see; `settings` is the only reader of the
environment; `orchestration` is the only room that knows Dagster; `demo` is a local exchange for
the first run; `definitions` assembles the Dagster project and `cli` is the `itb` command.
"""
