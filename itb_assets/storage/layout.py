"""Where things lie under the data root: the only place in the package where a path is spelt.

Reading or writing what lies there belongs to the stores; this module creates nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from itb_assets.domain.markets import FREQ_MS, Market
from itb_assets.errors import InputError, InvalidMarket, ModelNotFound, StorageError

MODEL_FILE = "model.pkl"
METADATA_FILE = "metadata.json"
METRICS_FILE = "metrics.json"
SCORES_FILE = "scores.parquet"
MODEL_FILES = (MODEL_FILE, METADATA_FILE, METRICS_FILE, SCORES_FILE)
EVENTS_FILE = "events.jsonl"
NEXT_EVENT_FILE = "event.next.json"

VARIANT = re.compile(r"[a-z][a-z0-9_]{0,30}")
_ALGO = re.compile(r"[a-z][a-z0-9]{0,30}")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_VERSION = re.compile(r"(?!0000)[0-9]{4}|[1-9][0-9]{4,8}")
MAX_VERSION = 999_999_999
"""Highest number that a version can have."""


# The legacy bot's own folders; a variant's folder was free text in its config, so these are looked up, not
# derived. MODELS is the default of a config that names none and is tried last for every variant.
_LEGACY_FOLDERS: dict[str, tuple[str, ...]] = {
    "aggressive": ("MODELS_AGGRESSIVE_V1", "MODELS_AGGRESSIVE"),
    "conservative": ("MODELS_CONSERVATIVE_V1", "MODELS_CONSERVATIVE"),
    "futures": ("MODELS_FUTURES",),
    "lgbm": ("MODELS_LGBM_V1",),
    "quick_profit": ("MODELS_QUICK_PROFIT",),
    "forex": ("MODELS_FOREX_{freq}",),
    "test_both": ("MODELS_test_both",),
}
_LEGACY_ALGOS: dict[str, str] = {"lgbm": "gb", "logreg": "lc"}


def _checked(kind: str, text: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(text):
        raise InputError(f"{kind} {text!r} is not valid: expected a name that matches {pattern.pattern}")
    return text


@dataclass(frozen=True, order=True)
class ModelAddress:
    """What names one model: its market, variant, algo and label; valid by construction."""

    market: Market
    variant: str
    algo: str
    label: str

    def __post_init__(self) -> None:
        """Refuse any part that could escape a path."""
        _checked("variant", self.variant, VARIANT)
        _checked("algo", self.algo, _ALGO)
        _checked("label", self.label, _LABEL)

    def __str__(self) -> str:
        """Name the model as people read it: `BTCUSDT 5m aggressive/lgbm/high_040_4`."""
        return f"{self.market} {self.variant}/{self.algo}/{self.label}"

    @property
    def identity(self) -> dict[str, str]:
        """What the metadata of a model at this address says of itself."""
        own = {"variant": self.variant, "algo": self.algo, "label": self.label}
        return {"symbol": self.market.symbol, "freq": self.market.freq} | own


@dataclass(frozen=True)
class ModelPlace:
    """Where a model was found: a folder of ours, or (`legacy`) the old bot's pickle file."""

    address: ModelAddress
    path: Path
    legacy: bool = False


@dataclass(frozen=True)
class Layout:
    """Paths below `root`; frames other than raw klines end in `processed_format`.

    Every method raises InputError for a name that is not valid and StorageError where a symbolic link
    would lead out of `root`.
    """

    root: Path
    processed_format: Literal["csv", "parquet"] = "csv"

    def klines(self, market: Market) -> Path:
        """Return the raw klines of a market; always parquet."""
        return self._market(market, "raw", "klines.parquet")

    def gaps(self, market: Market) -> Path:
        """Return the catalogue of gaps of a market."""
        return self._market(market, "raw", "gaps.json")

    def data(self, market: Market) -> Path:
        """Return the klines on their full grid."""
        return self._market(market, "processed", self._named("data"))

    def features(self, market: Market) -> Path:
        """Return the features of a market, over all variants."""
        return self._market(market, "processed", self._named("features"))

    def matrix(self, market: Market) -> Path:
        """Return klines, features and labels side by side."""
        return self._market(market, "labeled", self._named("matrix"))

    def predictions(self, market: Market, variant: str) -> Path:
        """Return the scores of one variant."""
        return self._market(market, "predictions", self._named(_checked("variant", variant, VARIANT)))

    def signals(self, market: Market, variant: str) -> Path:
        """Return the signals of one variant."""
        return self._market(market, "signals", self._named(_checked("variant", variant, VARIANT)))

    def trades(self, market: Market, variant: str) -> Path:
        """Return the paper trades of one variant."""
        return self._market(market, "trades", self._named(_checked("variant", variant, VARIANT)))

    def performance(self, market: Market, variant: str) -> Path:
        """Return what the paper trades of one variant earned by day."""
        return self._market(market, "performance", self._named(_checked("variant", variant, VARIANT)))

    def drift(self, market: Market, variant: str) -> Path:
        """Return the looks for drift at one variant."""
        return self._market(market, "drift", self._named(_checked("variant", variant, VARIANT)))

    @property
    def executed_fills(self) -> Path:
        """Every executed fill that was imported, of all accounts."""
        return self._under("executed", "fills.parquet")

    @property
    def executed_lock(self) -> Path:
        """Write lock of the executed fills."""
        return self._under(".itb", "locks", "executed.lock")

    def model_dir(self, market: Market, variant: str, algo: str, label: str) -> Path:
        """Return the folder of one model: model.pkl, metadata.json, metrics.json, scores.parquet."""
        model = ModelAddress(market, variant, algo, label)
        return self._under("models", market.symbol, market.freq, model.variant, model.algo, model.label)

    def promoted_dir(self, model: ModelAddress) -> Path:
        """Return the folder of the version that is used: what `model_dir` returns for its parts."""
        return self.model_dir(model.market, model.variant, model.algo, model.label)

    def versions_dir(self, model: ModelAddress) -> Path:
        """Return the folder of all versions of a model; StorageError if a symbolic link is on the way."""
        market, own = model.market, (model.variant, model.algo, ".versions", model.label)
        path = self._under("models", market.symbol, market.freq, *own)
        straight = self.root.resolve() / path.relative_to(self.root)
        if path.resolve() != straight:
            raise StorageError(
                f"{path} leads to {path.resolve()} through a symbolic link: remove the link, versions are "
                "kept beside their model"
            )
        return path

    def version_dir(self, model: ModelAddress, number: int) -> Path:
        """Return the folder of one version, with the same files as the promoted one; numbers begin at 1."""
        return self.versions_dir(model) / _checked("version", f"{number:04d}", _VERSION)

    def version_numbers(self, model: ModelAddress) -> tuple[int, ...]:
        """Return the number of everything that bears the name of a version, ascending."""
        folder = self.versions_dir(model)
        entries = folder.iterdir() if folder.is_dir() else ()
        return tuple(sorted(int(entry.name) for entry in entries if _VERSION.fullmatch(entry.name)))

    @property
    def phase_file(self) -> Path:
        """Record of the storage phase that the data root was moved to."""
        return self._under(".itb", "storage_phase.json")

    @property
    def cache_dir(self) -> Path:
        """Downloads that may be deleted at any time."""
        return self._under(".itb", "cache")

    @property
    def archive_dir(self) -> Path:
        """Compressed frames that the database has taken over, a folder for each day."""
        return self._under(".itb", "archive")

    @property
    def logs_dir(self) -> Path:
        """Log files."""
        return self._under("logs")

    @property
    def postgres_dir(self) -> Path:
        """Data folder of the embedded PostgreSQL."""
        return self._under(".itb", "postgres")

    @property
    def dagster_home(self) -> Path:
        """Instance folder of Dagster."""
        return self._under(".itb", "dagster")

    @property
    def code_socket(self) -> Path:
        """Socket of the code server that `itb ui` starts."""
        return self._under(".itb", "code.sock")

    @property
    def locks_dir(self) -> Path:
        """Lock files; one that nobody holds may be deleted."""
        return self._under(".itb", "locks")

    def market_lock(self, market: Market) -> Path:
        """Return the write lock of a market."""
        return self._under(".itb", "locks", f"{market.symbol}_{market.freq}.lock")

    def markets(self) -> tuple[Market, ...]:
        """Return every market that has klines on disk, by symbol and then by length of the kline."""
        found = (
            Market(symbol.name, freq)
            for symbol in _folders(self.root)
            if _is_symbol(symbol.name)
            for freq in FREQ_MS
        )
        return tuple(sorted((m for m in found if self.klines(m).is_file()), key=_by_length))

    def models(self) -> tuple[ModelAddress, ...]:
        """Return every model folder that holds a metadata file; loading shows whether it is sound."""
        return tuple(sorted(self._models(), key=lambda m: (_by_length(m.market), m)))

    def find_model(self, market: Market, variant: str, algo: str, label: str) -> ModelPlace:
        """Resolve a model by our own path first, then by the legacy bot's; raise ModelNotFound."""
        address = ModelAddress(market, variant, algo, label)
        ours = self.model_dir(market, variant, algo, label)
        if (ours / METADATA_FILE).is_file():
            return ModelPlace(address, ours)
        for legacy in self._legacy_models(address):
            if legacy.is_file():
                return ModelPlace(address, legacy, legacy=True)
        raise ModelNotFound(f"no model {address}: looked for {ours} and for legacy pickles; train it first")

    def _legacy_models(self, address: ModelAddress) -> Iterator[Path]:
        market = address.market
        names = dict.fromkeys((address.algo, _LEGACY_ALGOS.get(address.algo, address.algo)))
        for folder in (*_LEGACY_FOLDERS.get(address.variant, ()), "MODELS"):
            place = (f"DATA_ITB_{market.freq}", market.symbol, folder.format(freq=market.freq))
            yield from (self._under(*place, f"{address.label}_{name}.pickle") for name in names)

    def _models(self) -> Iterator[ModelAddress]:
        for symbol in _folders(self._under("models")):
            for freq in (f for f in _folders(symbol) if _is_symbol(symbol.name) and f.name in FREQ_MS):
                market = Market(symbol.name, freq.name)
                for path in sorted(freq.glob(f"*/*/*/{METADATA_FILE}")):
                    variant, algo, label = path.parts[-4:-1]
                    if all(p.fullmatch(t) for p, t in ((VARIANT, variant), (_ALGO, algo), (_LABEL, label))):
                        yield ModelAddress(market, variant, algo, label)

    def _named(self, stem: str) -> str:
        return f"{stem}.{self.processed_format}"

    def _market(self, market: Market, *parts: str) -> Path:
        return self._under(market.symbol, market.freq, *parts)

    def _under(self, *parts: str) -> Path:
        path = self.root.joinpath(*parts)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise StorageError(
                f"{path} leads out of the data root {self.root} to {path.resolve()}: "
                "remove the symbolic link, or set ITB_DATA_ROOT to where the data is"
            )
        return path


def _folders(parent: Path) -> list[Path]:
    return sorted(entry for entry in parent.iterdir() if entry.is_dir()) if parent.is_dir() else []


def _is_symbol(name: str) -> bool:
    try:
        Market(name, "1d")
    except InvalidMarket:
        return False
    return True


def _by_length(market: Market) -> tuple[str, int]:
    return (market.symbol, market.freq_ms)
