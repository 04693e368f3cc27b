"""What an alert is about, in a line: the market, the asset, and whatever else its labels name.

What is wrong there belongs to `messages`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from itb_assets.observability.alerts.catalogue import LANGUAGES, Language
from itb_assets.observability.alerts.markup import cut

_NAMED_FIRST = ("symbol", "freq", "asset", "variant", "algo", "label", "currency")
_PICKED_BY_HAND = "__ASSET_JOB"
"""The name that Dagster gives the job of assets that somebody picked."""

_NAMES: Mapping[str, tuple[str, str]] = {
    "account": ("account", "conta"),
    "api": ("API", "API"),
    "channel": ("channel", "canal"),
    "check": ("check", "verificação"),
    "daemon": ("daemon", "daemon"),
    "job": ("job", "job"),
    "partition": ("partition", "partição"),
    "process": ("process", "processo"),
    "provider": ("provider", "provedor"),
    "schedule": ("schedule", "agendamento"),
    "sensor": ("sensor", "sensor"),
    "step": ("step", "etapa"),
    "watched": ("rule", "regra"),
}
_WHOLE: Mapping[tuple[str, str], tuple[str, str]] = {
    ("job", _PICKED_BY_HAND): ("assets picked by hand", "assets escolhidos à mão"),
    ("server", "code"): ("code server", "servidor de código"),
}
"""What some labels say as a whole."""


def where(labels: Mapping[str, str], *, most: int = 300, language: Language = "en") -> str:
    """Return what an alert is about in a line: the market, the asset, then whatever else names it.

    >>> where({"label": "high_20", "freq": "5m", "symbol": "BTCUSDT", "sensor": "clock"})
    'BTCUSDT 5m · high_20 · sensor clock'
    >>> where({"asset": "models/brisk/lgbm/high_20", "algo": "lgbm", "account": "me"}, language="pt")
    'models/brisk/lgbm/high_20 · conta me'
    """
    market = " ".join(str(labels[name]) for name in ("symbol", "freq") if labels.get(name))
    return cut(" · ".join(part for part in (market, *_others(labels, language)) if part), most)


def _others(labels: Mapping[str, str], language: Language) -> Iterator[str]:
    """Yield the asset, what its name leaves out, and the rest by name."""
    stages = str(labels.get("asset", "")).split("/")
    for name in _NAMED_FIRST[2:]:
        value = str(labels.get(name, ""))
        if value and (name == "asset" or value not in stages):
            yield value
    at = LANGUAGES.index(language)
    for name, value in labels.items():
        if name in _NAMED_FIRST or not value:
            continue
        whole = _WHOLE.get((name, str(value)))
        yield whole[at] if whole else f"{_NAMES.get(name, (name, name))[at]} {value}"
