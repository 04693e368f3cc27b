"""The keys of a strategy file and their types: the legacy bot's config grammar and this project's extensions.

Which names fit together does not belong here (`names`); nor does what a generator's own config means.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from itb_assets.domain.markets import FREQ_MS
from itb_assets.domain.specs import (
    CrossValidationSpec,
    Dialect,
    GeneratorSpec,
    TradingSpec,
    WalkForwardSpec,
    mode_problems,
)

_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_PANDAS_FREQ = re.compile(r"\d*(min|T|h|H|d|D)")
_PATH_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _freq(text: str) -> str:
    if text in FREQ_MS or text in ("{freq}", "{pandas_freq}") or _PANDAS_FREQ.fullmatch(text):
        return text
    raise ValueError(f"expected a freq such as 5m or 5min, or the placeholder {{freq}}, found {text!r}")


def _placeholders(text: str) -> str:
    unknown = sorted(set(_PLACEHOLDER.findall(text)) - {"{symbol}", "{freq}", "{pandas_freq}"})
    if unknown:
        raise ValueError(
            f"placeholder {', '.join(unknown)} is unknown: {{symbol}}, {{freq}}, {{pandas_freq}} are"
        )
    return text


def _label(text: str) -> str:
    if not _PATH_PART.fullmatch(text):
        raise ValueError(f"expected letters, digits, _ and - (the name becomes a folder), found {text!r}")
    return text


def _algorithm_name(text: str) -> str:
    if "_" in text:
        raise ValueError(
            f"algorithm name {text!r} holds an underscore: scores are named label_name, use none"
        )
    return _label(text)


Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=0)]
Positive = Annotated[Whole, Field(ge=1)]
AboveZero = Annotated[float, Field(gt=0)]
ZeroOrMore = Annotated[float, Field(ge=0)]
Text = Annotated[str, AfterValidator(_placeholders)]
Freq = Annotated[str, AfterValidator(_freq)]
Label = Annotated[str, AfterValidator(_label)]
Object = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GeneratorEntry(_Strict):
    """One entry of `feature_sets`, `label_sets` or `signal_sets`."""

    generator: Annotated[str, Field(min_length=1)]
    config: Object | None = None
    column_prefix: str | None = None
    feature_prefix: str | None = None
    function: str | None = Field(None, description="never read by the legacy bot")

    @property
    def spec(self) -> GeneratorSpec:
        """The frozen value that the rooms compute from."""
        return GeneratorSpec(
            self.generator, self.config or {}, self.column_prefix or "", self.feature_prefix or ""
        )


class AlgorithmEntry(_Strict):
    """One entry of `algorithms`."""

    name: Annotated[str, AfterValidator(_algorithm_name)]
    algo: str
    params: Object | None = None
    train: Object | None = None
    predict: Object | None = Field(None, description="the legacy bot's; scores here are probabilities")
    score_type: str | None = Field(None, description="never read by the legacy bot")


class DataSource(_Strict):
    """One entry of the legacy bot's `data_sources`."""

    folder: Text
    file: Text = "klines"
    column_prefix: str | None = None
    chunk_size: Whole | None = None


class Grid(_Strict):
    """Thresholds to try; a string was evaluated as Python by the legacy bot and stays text here."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, list[float] | str] = Field(init=False)


class SimulateModel(_Strict):
    """The legacy bot's threshold search."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    direction: Literal["long", "short", "both", ""] | None = None
    topn_to_store: Count | None = None
    signal_generator: str | None = None
    buy_sell_equal: bool | None = None
    grid: Grid | None = None


class WalkForwardEntry(_Strict):
    """The extension key `walk_forward`."""

    folds: Positive = WalkForwardSpec.folds
    window_rows: Positive = WalkForwardSpec.window_rows
    min_train_rows: Positive = WalkForwardSpec.min_train_rows
    mode: Literal["expanding", "rolling"] = WalkForwardSpec.mode
    train_rows: Positive | None = WalkForwardSpec.train_rows

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := mode_problems(self.spec):
            raise ValueError("; ".join(problems))
        return self

    @property
    def spec(self) -> WalkForwardSpec:
        """The frozen value that training takes."""
        return WalkForwardSpec(**self.model_dump())


class CrossValidationEntry(_Strict):
    """The extension key `cross_validation`."""

    folds: Annotated[Whole, Field(ge=2)] = CrossValidationSpec.folds
    embargo_rows: Count = CrossValidationSpec.embargo_rows

    @property
    def spec(self) -> CrossValidationSpec:
        """The frozen value that training takes."""
        return CrossValidationSpec(**self.model_dump())


class PaperTradingEntry(_Strict):
    """The extension key `paper_trading`; what each key means is said at TradingSpec."""

    direction: Literal["long", "short", "both"] = TradingSpec.direction
    buy: str | None = TradingSpec.buy
    sell: str | None = TradingSpec.sell
    score: str | None = TradingSpec.score
    take_profit_pct: AboveZero | None = TradingSpec.take_profit_pct
    stop_loss_pct: AboveZero | None = TradingSpec.stop_loss_pct
    time_limit_rows: Positive | None = TradingSpec.time_limit_rows
    fee_pct: ZeroOrMore = TradingSpec.fee_pct
    slippage_pct: ZeroOrMore = TradingSpec.slippage_pct
    notional: AboveZero = TradingSpec.notional
    max_positions: Positive = TradingSpec.max_positions
    exit_on_opposite: bool = TradingSpec.exit_on_opposite

    @property
    def spec(self) -> TradingSpec:
        """The frozen value that paper trading takes."""
        return TradingSpec(**self.model_dump())


class UsedKeys(_Strict):
    """What this project takes from a strategy file."""

    description: str = ""
    dialect: Dialect = "causal"
    walk_forward: WalkForwardEntry = WalkForwardEntry()
    cross_validation: CrossValidationEntry | None = None
    paper_trading: PaperTradingEntry = PaperTradingEntry()
    label_horizon: Count = 0
    features_horizon: Count = 10
    train_length: Count | None = None
    feature_sets: Annotated[list[GeneratorEntry], Field(min_length=1)]
    label_sets: Annotated[list[GeneratorEntry], Field(min_length=1)]
    train_features: Annotated[list[str], Field(min_length=1)]
    labels: Annotated[list[Label], Field(min_length=1)]
    algorithms: Annotated[list[AlgorithmEntry], Field(min_length=1)]
    signal_sets: list[GeneratorEntry] = []


class StrategyFile(UsedKeys):
    """Every key of the grammar; those below are read, checked for their type, and not used here."""

    train: bool | None = None
    venue: str | None = None
    symbol: Text | None = None
    freq: Freq | None = None
    pandas_freq: Freq | None = None
    time_column: Literal["timestamp"] | None = None
    predict_length: Count | None = None
    append_overlap_records: Count | None = None
    download_max_rows: Count | None = None
    download_start: str | None = None
    download_end: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    train_period: Object | None = None
    test_period: Object | None = None
    merge_interpolate: bool | None = None
    merge_interpolate_columns: list[str] | None = None
    merge_interpolate_max_gap: Count | None = None
    data_sources: list[DataSource] | None = None
    orderbook_collection: Object | None = None
    train_feature_sets: list[GeneratorEntry] | None = None
    output_sets: list[GeneratorEntry] | None = None
    model_registry: list[Any] | Object | None = None
    simulate_model: SimulateModel | None = None
    rolling_predict: Object | None = None
    trade_model: Object | None = None
    risk_management: Object | None = None
    futures: Object | None = None
    score_thresholds: Object | None = None
    features: list[Any] | None = None
    exchange: str | None = None
    base_asset: str | None = None
    quote_asset: str | None = None
    client_args: Object | None = None
    data_folder: Text | None = None
    model_folder: Text | None = None
    models_folder: Text | None = None
    merge_file_name: Text | None = None
    feature_file_name: Text | None = None
    matrix_file_name: Text | None = None
    predict_file_name: Text | None = None
    predictions_file: Text | None = None
    signal_file_name: Text | None = None
    signal_models_file_name: Text | None = None
    api_key: str | None = None
    api_secret: str | None = None
    telegram_bot_token: str | None = None
    telegram_chat_id: str | Whole | None = None
    mt5_account_id: str | Whole | None = None
    mt5_password: str | None = None
    mt5_server: str | None = None
