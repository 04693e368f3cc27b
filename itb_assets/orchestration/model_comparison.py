"""Models beside each other: scores on common rows, trades after fees, luck, and which of them are used.

The measures belong to `domain.evaluation`; showing them belongs to the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from itb_assets.errors import DataContractError, InputError, ItbError
from itb_assets.observability.model_plots import model_comparison
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.promotion import model_path, out_of_sample
from itb_assets.storage.layout import ModelAddress
from itb_assets.storage.models.folder import StoredModel
from itb_assets.storage.models.registry import ModelVersion

OWN_ROWS = "its own"
COMMON_ROWS = "common"


@dataclass(frozen=True)
class Wanted:
    """Which models are compared: an empty tuple stands for all, `every_version` for more than those used."""

    symbols: tuple[str, ...] = ()
    freqs: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    algos: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    every_version: bool = False

    def includes(self, address: ModelAddress) -> bool:
        """Tell whether a model is asked for."""
        asked = (self.symbols, self.freqs, self.variants, self.algos, self.labels)
        parts = address.identity.values()
        return all(not names or part in names for names, part in zip(asked, parts, strict=True))

    def check(self, addresses: Sequence[ModelAddress]) -> None:
        """Raise InputError naming what no model has, and what there is."""
        asked = vars(self)
        problems = []
        for what, part in _PARTS.items():
            there = sorted({address.identity[part] for address in addresses})
            problems += [
                f"{part} {name!r} has no model: there are {', '.join(there) or 'none'}"
                for name in asked[what]
                if name not in there
            ]
        if problems:
            raise InputError("; ".join(problems))


_PARTS = {"symbols": "symbol", "freqs": "freq", "variants": "variant", "algos": "algo", "labels": "label"}


@dataclass(frozen=True)
class _Entry:
    """One version of a model that is compared."""

    address: ModelAddress
    version: ModelVersion
    stored: StoredModel

    @property
    def name(self) -> str:
        return f"{model_path(self.address)}@{self.version.number}"


def compare_models(platform: Platform, wanted: Wanted) -> list[dict[str, Any]]:
    """Return one row a model, the best first within each market and label; a broken one says so in `error`.

    Models of one market and label are measured and ranked on the rows that all of them scored (`measured_on`
    is `common`), or each on its own rows where there are no common ones, without a rank. Trades and luck are
    those that were measured with each training, on its own rows.
    """
    addresses = platform.layout.models()
    wanted.check(addresses)
    groups: dict[tuple[str, str], list[_Entry]] = {}
    broken: list[dict[str, Any]] = []
    for address in (address for address in addresses if wanted.includes(address)):
        for version in _versions(platform, address, every=wanted.every_version):
            try:
                stored = platform.registry.load_version(address, version.number)
                stored.scores()
            except ItbError as error:
                broken.append(_row(address, version, {}) | {"error": str(error)})
                continue
            key = (str(address.market), address.label)
            groups.setdefault(key, []).append(_Entry(address, version, stored))
    return [row for entries in groups.values() for row in _ranked(entries)] + broken


def comparison_plot(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the AUC of the models with their intervals; those not in use are hollow."""
    frame = pd.DataFrame(
        {
            "name": [f"{row['model']} v{row['version']}" for row in rows],
            **{
                name: pd.Series([row[column] for row in rows], dtype="float64")
                for name, column in (("auc", "auc"), ("low", "auc_low"), ("high", "auc_high"))
            },
            "promoted": [row["promoted"] for row in rows],
        }
    )
    return model_comparison(frame, title="Models out of sample")


def _versions(platform: Platform, address: ModelAddress, *, every: bool) -> Sequence[ModelVersion]:
    if every:
        return platform.registry.versions(address)
    used = platform.registry.promoted(address)
    return [] if used is None else [used]


def _ranked(entries: Sequence[_Entry]) -> Iterator[dict[str, Any]]:
    """Measure one group, on common rows where there are any."""
    from itb_assets.domain.evaluation.leaderboard import compare_many  # noqa: PLC0415 - SciPy loads slowly

    by_name = {entry.name: entry for entry in entries}
    frames = {name: out_of_sample(entry.stored.scores()) for name, entry in by_name.items()}
    measured_on = COMMON_ROWS
    try:
        measured = compare_many(frames).to_dict("records")
    except DataContractError:
        measured_on = OWN_ROWS
        alone = [compare_many({name: frame}).to_dict("records") for name, frame in frames.items()]
        measured = [figures | {"rank": None} for (figures,) in alone]
    for figures in measured:
        entry = by_name[figures["model"]]
        own = {name: _plain(figures[name]) for name in _MEASURED}
        yield _row(entry.address, entry.version, own, entry.stored.metrics) | {"measured_on": measured_on}


_MEASURED = ("rank", "rows", "auc", "auc_low", "auc_high", "log_loss", "p_behind")


def _row(
    address: ModelAddress,
    version: ModelVersion,
    measured: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    metrics = metrics or {}
    trading, luck = metrics.get("trading") or {}, metrics.get("luck") or {}
    return {
        "model": model_path(address),
        "version": version.number,
        "promoted": version.state == "promoted",
        **{name: measured.get(name) for name in _MEASURED},
        "trades": trading.get("trades"),
        "win_rate": trading.get("win_rate"),
        "wilson_low": trading.get("wilson_low"),
        "wilson_high": trading.get("wilson_high"),
        "expectancy_pct": trading.get("expectancy_pct"),
        "fee_pct": (trading.get("rule") or {}).get("fee_pct"),
        "p_auc": (luck.get("auc") or {}).get("p_value"),
        "p_trading": (luck.get("trading") or {}).get("p_value"),
        "measured_on": None,
        "error": None,
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell of a table
    """Return a number as JSON knows it: None of NA and NaN."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
