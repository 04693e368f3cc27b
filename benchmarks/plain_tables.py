"""The plain pandas way into the database: `to_sql` on psycopg2, ten thousand rows a time.

Nothing of `itb_assets` is called here. Which frames are loaded is said in `plain`.
"""

from __future__ import annotations

import inputs
import pandas as pd
from measure import Case, Job

CHUNK_ROWS = 10_000


def loading(job: Job, name: str, frame: pd.DataFrame) -> Case:
    """Load a frame into an empty table that has the primary key of ours."""
    import sqlalchemy as sa  # noqa: PLC0415 - slow to import, and in no other case's memory
    import tables  # noqa: PLC0415 - same

    engine, table = sa.create_engine(job.database("plain")), f"plain_{name}"

    def run() -> None:
        rows = frame.rename(columns={"timestamp": "time"}).assign(
            symbol=inputs.MARKET.symbol, freq=inputs.MARKET.freq
        )
        rows.to_sql(table, engine, if_exists="append", index=False, chunksize=CHUNK_ROWS)

    return Case(
        run,
        before=lambda: tables.create_table(engine, table, tables.columns_of(frame)),
        facts=lambda _: tables.row_count(engine, table),
    )
