"""A small project whose runs fail as their tags ask, read by the alerts on two real databases."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import dagster as dg
import sqlalchemy as sa

from itb_assets.domain.alerts import Incident
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError, ExchangeUnavailable, ModelRejected
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.config import load_config
from itb_assets.orchestration.alerts.reading import AlertReader, Look
from itb_assets.orchestration.alerts.subjects import Subjects
from itb_assets.orchestration.alerts.writer import AlertWriter
from itb_assets.orchestration.checks.base import Verdict, define_check
from itb_assets.orchestration.failures import as_failures
from itb_assets.orchestration.partitions import MARKETS, SYMBOLS, partition_of

WOLF = Market("DEMOWOLFUSDT", "5m")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
KLINES, MODEL = "raw/klines", "models/brisk/lgbm/high_040_4"
ASSETS = (KLINES, MODEL, "drift/brisk")
UI = "http://127.0.0.1:3000"

ERRORS: dict[str, Callable[[], BaseException]] = {
    "terminal": lambda: DataContractError("klines of DEMOWOLFUSDT 5m are unsorted\n  - at 2024-03-01"),
    "transient": lambda: ExchangeUnavailable("the exchange did not answer; try later"),
    "model": lambda: ModelRejected("the model does not fit"),
    "bug": lambda: ZeroDivisionError("division by zero"),
    "secret": lambda: DataContractError("cannot log in as postgresql://itb:hunter22@host/itb password=abc99"),
    "cut": dg.DagsterExecutionInterruptedError,
    "zero": lambda: DataContractError("a \x00 in the words"),
}


def _make(context: dg.AssetExecutionContext) -> None:
    """Fail as a tag of the run asks: `fail/<first part of the key>` names an error."""
    wanted = context.run.tags.get(f"fail/{context.asset_key.path[0]}", "")
    attempts = int(context.run.tags.get("attempts", "0"))
    if wanted and (not attempts or context.retry_number < attempts):
        with as_failures(retry=bool(attempts)):
            error = ERRORS[wanted]()
            raise error


def _asset(name: str, deps: list[str]) -> dg.AssetsDefinition:
    return dg.asset(
        key=dg.AssetKey(name.split("/")),
        deps=[dg.AssetKey(each.split("/")) for each in deps],
        partitions_def=MARKETS,
    )(_make)


def _check(asset: str, name: str, *, blocking: bool = False, warn: bool = False) -> dg.AssetChecksDefinition:
    def judge(asked: Any, market: Market) -> Verdict:
        return asked.verdicts.get(name, Verdict(passed=True))

    return define_check(asset.split("/"), name, judge, "holds", blocking=blocking, warn=warn)


@dg.op
def purge(context: dg.OpExecutionContext) -> None:
    """Fail as a tag asks."""
    if context.run.tags.get("fail/op"):
        error = ERRORS["bug"]()
        raise error


@dg.job
def tidy() -> None:
    """Is no market's."""
    purge()


asked = SimpleNamespace(retry_steps=True, verdicts={})
"""What checks find, by name; otherwise they pass."""

DEFS = dg.Definitions(
    assets=[_asset(KLINES, []), _asset(MODEL, [KLINES]), _asset("drift/brisk", [MODEL])],
    asset_checks=[
        _check(KLINES, "schema", blocking=True),
        _check(KLINES, "odd", warn=True),
        _check(MODEL, "promoted"),
        _check("drift/brisk", "drift"),
    ],
    jobs=[dg.define_asset_job("build", dg.AssetSelection.all()), tidy],
    resources={"platform": asked},
    executor=dg.in_process_executor,
)


def build_job() -> dg.JobDefinition:
    """Return the job for a run outside of this process' memory."""
    return DEFS.resolve_job_def("build")


@dataclass
class Room:
    """The instance, our database, and the reader between them."""

    instance: dg.DagsterInstance
    dagster: sa.Engine
    url: str
    engine: sa.Engine = field(init=False)
    writer: AlertWriter = field(init=False)
    reader: AlertReader = field(init=False)

    def __post_init__(self) -> None:
        """Open our database."""
        asked.verdicts.clear()
        self.engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        self.writer = AlertWriter(self.url, load_config())
        self.reader = AlertReader(self.writer, Subjects(ASSETS), ui_url=UI)
        self.reader.look(self.instance)  # begins before anything happens

    def run(self, *, market: Market | None = WOLF, **tags: str) -> dg.ExecuteInProcessResult:
        """Run the job of a market, or the one that is of none."""
        named = {name.replace("_", "/", 1): value for name, value in tags.items()}
        if market is None:
            return tidy.execute_in_process(
                instance=self.instance, run_config=QUIET, tags=named, raise_on_error=False
            )
        self.instance.add_dynamic_partitions(str(SYMBOLS.name), [market.symbol])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.PreviewWarning)
            return build_job().execute_in_process(
                instance=self.instance,
                run_config=QUIET,
                partition_key=partition_of(market),
                tags=named,
                raise_on_error=False,
            )

    def look(self) -> Look:
        """Read what is new."""
        return self.reader.look(self.instance)

    def incidents(self, *, open_only: bool = True) -> list[Incident]:
        """Return incidents, those that are open first."""
        with self.engine.begin() as connection:
            return store.incidents(connection, open_only=open_only, limit=5_000)

    def only(self) -> Incident:
        """Return the one incident that is open."""
        found = self.incidents()
        assert len(found) == 1, [(each.rule, each.labels, each.title) for each in found]
        return found[0]

    def rows(self, statement: str, **values: object) -> list[Any]:
        """Ask our database."""
        with self.engine.begin() as connection:
            found = connection.execute(sa.text(statement), values)
            return list(found) if found.returns_rows else []

    def records(self, statement: str, **values: object) -> list[Any]:
        """Ask Dagster's database, past Dagster."""
        with self.dagster.connect() as connection:
            found = connection.execute(sa.text(statement), values)
            return list(found) if found.returns_rows else []

    def messages(self) -> list[tuple[str, str]]:
        """Return kind and title of what is to be sent, one of every channel."""
        kept = self.rows(
            "SELECT kind, message FROM alert_outbox "
            "WHERE channel = (SELECT min(channel) FROM alert_outbox) ORDER BY id"
        )
        return [(row.kind, row.message["title"]) for row in kept]

    def close(self) -> None:
        """Let go of our database."""
        self.writer.close()
        self.engine.dispose()
