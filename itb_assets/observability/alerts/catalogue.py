"""The words of messages in English and Portuguese, and how they write times, lengths and numbers.

Which words a message takes belongs to `messages`, `digest` and `reports`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Literal

Language = Literal["en", "pt"]
NBSP, MINUS, UNKNOWN = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}", "\N{EN DASH}"
LANGUAGES: tuple[Language, ...] = ("en", "pt")

SIGNS: Mapping[str, str] = {
    "critical": "🚨",
    "error": "❌",
    "warning": "⚠️",
    "info": "\N{INFORMATION SOURCE}\N{VARIATION SELECTOR-16}",
    "resolved": "✅",
    "ended": "⏹️",
    "report": "📊",
    "test": "🔔",
    "alive": "💚",
}

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400

_RULES: Mapping[str, tuple[str, str]] = {
    "training_failed": ("Training failed", "Treinamento do modelo falhou"),
    "pipeline_error": ("Data pipeline failed", "Erro no pipeline de dados"),
    "run_failed": ("Run failed", "Execução falhou"),
    "check_failed": ("Check failed", "Verificação reprovada"),
    "asset_stale": ("Asset out of date", "Asset desatualizado"),
    "automation_failed": ("Sensor or schedule failed", "Sensor ou agendamento falhou"),
    "code_server": ("Dagster's code server is gone", "O servidor de código do Dagster caiu"),
    "daemon_error": ("Dagster daemon in trouble", "Problema no daemon do Dagster"),
    "rule_broken": ("A rule cannot be computed", "Uma regra não pode ser calculada"),
    "event_unreadable": ("An event could not be read", "Um evento não pôde ser lido"),
    "model_drift": ("Model drift", "Drift de modelo"),
}
"""Names of the rules whose titles are made where nobody knows the language, by those who saw it happen."""

_WORDS: Mapping[str, tuple[str, str]] = {
    "critical": ("CRITICAL", "CRÍTICO"),
    "error": ("ERROR", "ERRO"),
    "warning": ("WARNING", "ATENÇÃO"),
    "info": ("INFO", "INFO"),
    "resolved": ("RESOLVED", "RESOLVIDO"),
    "ended": ("NOT WATCHED ANY MORE", "NÃO É MAIS OBSERVADO"),
    "test": ("TEST", "TESTE"),
    "possible repeat": ("[possible repeat]", "[possível repetição]"),
    "since": ("since {0} ({1})", "desde {0} ({1})"),
    "still": ("ongoing since {0} ({1})", "continua desde {0} ({1})"),
    "lasted": ("lasted {1}: {0} to {2}", "durou {1}: de {0} a {2}"),
    "times": ("{0} times", "{0} vezes"),
    "worse": ("worse than before", "piorou"),
    "flapping": ("comes and goes: quiet until it settles", "vai e volta: sem novos avisos até estabilizar"),
    "settled": ("it came and went, and is quiet now", "ia e voltava, agora estabilizou"),
    "what to do": ("What to do", "O que fazer"),
    "run": ("Open the run", "Abrir a execução"),
    "incident": ("incident {0}", "incidente {0}"),
    "digest": ("{0} alerts", "{0} alertas"),
    "one alert": ("1 alert", "1 alerta"),
    "between": ("{0} to {1}", "de {0} a {1}"),
    "more": ("… and {0} more: {1}", "… e mais {0}: {1}"),
    "more lines": ("… and {0} more lines", "… e mais {0} linhas"),
    "reports": ("REPORTS", "RELATÓRIOS"),
    "arrives": ("alerts arrive here", "os alertas chegam aqui"),
    "delivered": ("Alerts are being delivered", "Os alertas estão sendo entregues"),
    "listed by": ("all of them: {0}", "lista completa: {0}"),
    "day": ("day", "dia"),
    "days": ("days", "dias"),
}


def word(name: str, language: Language, *values: object) -> str:
    """Return a phrase in a language, with these values in its places."""
    return _WORDS[name][LANGUAGES.index(language)].format(*values)


def heading(rule: str, language: Language) -> str:
    """Return what a rule is called; "" where its own titles say so in the language."""
    return _RULES.get(rule, ("", ""))[LANGUAGES.index(language)]


def moment(time: datetime, language: Language) -> str:
    """Write a time to the minute, in UTC, with its day.

    >>> from datetime import datetime, UTC
    >>> time = datetime(2026, 11, 5, 14, 2, tzinfo=UTC)
    >>> moment(time, "en"), moment(time, "pt")
    ('5 Nov 14:02 UTC', '05/11 14:02 UTC')
    """
    utc = time.astimezone(UTC)
    day = f"{utc.day} {_MONTHS[utc.month - 1]}" if language == "en" else f"{utc:%d/%m}"
    return f"{day} {utc:%H:%M} UTC"


def day_of(day: date, language: Language) -> str:
    """Write a day with its year.

    >>> day_of(date(2026, 11, 5), "en"), day_of(date(2026, 11, 5), "pt")
    ('5 Nov 2026', '05/11/2026')
    """
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}" if language == "en" else f"{day:%d/%m/%Y}"


def length(span: timedelta, language: Language) -> str:
    """Write a length of time in its two largest units; one below zero is none.

    >>> length(timedelta(hours=26, minutes=5), "en").replace(NBSP, " "), length(timedelta(0), "en")[0]
    ('1 day 2 h', '0')
    """
    seconds = max(0, int(span.total_seconds()))
    days, hours, minutes = seconds // _DAY_S, seconds % _DAY_S // _HOUR_S, seconds % _HOUR_S // _MINUTE_S
    if days:
        parts = [(days, word("day" if days == 1 else "days", language)), (hours, "h")]
    elif hours:
        parts = [(hours, "h"), (minutes, "min")]
    elif minutes:
        parts = [(minutes, "min")]
    else:
        return f"{seconds}{NBSP}s"
    return NBSP.join(f"{count}{NBSP}{unit}" for count, unit in parts if count)


def figure(value: float | None, language: Language, decimals: int = 2, *, signed: bool = False) -> str:
    """Write a number as it is written in a language; an unknown or infinite one is a dash.

    >>> figure(1234.5, "en"), figure(1234.5, "pt"), figure(-0.001, "en", signed=True)
    ('1,234.50', '1.234,50', '0.00')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    text = f"{rounded:{'+' if signed and rounded else ''},.{decimals}f}".replace("-", MINUS)
    return text if language == "en" else text.translate({ord(","): ".", ord("."): ","})


def percentage(value: float | None, language: Language, decimals: int = 1, *, signed: bool = False) -> str:
    """Write a percentage given in per cent; an unknown one is a dash."""
    text = figure(value, language, decimals, signed=signed)
    return text if text == UNKNOWN else f"{text}{NBSP}%"
