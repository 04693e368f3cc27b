"""What events of Dagster are called in messages, in English and Portuguese.

What an event says belongs to `events` and `ticks`; the words of rules and of messages to
`observability.alerts`. What an error itself says stays as it was said.
"""

from __future__ import annotations

from collections.abc import Mapping

from itb_assets.observability.alerts.catalogue import LANGUAGES, Language

_PHRASES: Mapping[str, tuple[str, str]] = {
    "of": (" of {0}", " de {0}"),
    "failed": ("{0}: failed", "{0}: erro"),
    "training failed": ("{0}: training failed", "{0}: treinamento falhou"),
    "works": ("{0}: works again", "{0}: voltou a funcionar"),
    "run": ("run of {0}{1}", "execução de {0}{1}"),
    "run failed": ("{0}: failed", "{0}: falhou"),
    "run starts again": (
        "{0}: ended early, Dagster starts it again",
        "{0}: terminou antes da hora, o Dagster inicia de novo",
    ),
    "picked": ("assets picked by hand", "assets escolhidos à mão"),
    "some job": ("a job", "um job"),
    "killed": (
        "its process was killed or ran out of memory; what it had stored is whole",
        "o processo foi morto ou ficou sem memória; o que já tinha gravado está inteiro",
    ),
    "check failed": ("{0}: check {1} failed", "{0}: verificação {1} reprovada"),
    "check passes": ("{0}: check {1} passes again", "{0}: verificação {1} voltou a passar"),
    "drift": ("{0}: drift", "{0}: drift"),
    "no drift": ("{0}: no drift", "{0}: sem drift"),
    "stale": ("{0}: not materialized in time", "{0}: não foi materializado a tempo"),
    "fresh": ("{0}: fresh again", "{0}: atualizado de novo"),
    "freshness": ("freshness went from {0} to {1}", "a atualização passou de {0} a {1}"),
    "no server": (
        "Dagster's code server: does not answer",
        "servidor de código do Dagster: não responde",
    ),
    "server": ("Dagster's code server: answers again", "servidor de código do Dagster: voltou a responder"),
    "carried": ("runs under way: {0}", "execuções em andamento: {0}"),
    "and more": (" and {0} more", " e mais {0}"),
    "sensor failed": ("sensor {0}: failed", "sensor {0}: falhou"),
    "sensor works": ("sensor {0}: works again", "sensor {0}: voltou a funcionar"),
    "schedule failed": ("schedule {0}: failed", "agendamento {0}: falhou"),
    "schedule works": ("schedule {0}: works again", "agendamento {0}: voltou a funcionar"),
    "daemon trouble": ("Dagster's {0} daemon: in trouble", "daemon {0} do Dagster: problema"),
    "daemon works": ("Dagster's {0} daemon: works again", "daemon {0} do Dagster: voltou a funcionar"),
    "no beat": ("no heartbeat for {0:.0f} s", "sem sinal de vida há {0:.0f} s"),
    "event unreadable": (
        "event {0} of Dagster could not be read and was passed over",
        "o evento {0} do Dagster não pôde ser lido e foi ignorado",
    ),
    "tick unreadable": (
        "tick {0} of Dagster could not be read and was passed over",
        "o tick {0} do Dagster não pôde ser lido e foi ignorado",
    ),
    "report unreadable": (
        "report {0} could not be written and was passed over",
        "o relato {0} não pôde ser gravado e foi ignorado",
    ),
    "server ended": ("itb ui: the {0} ended by itself", "itb ui: {0} terminou sozinho"),
    "server works": ("itb ui: the {0} works again", "itb ui: {0} voltou a funcionar"),
}


def phrase(name: str, language: Language, *values: object) -> str:
    """Return a phrase with its values.

    >>> phrase("failed", "en", "raw/klines of BTCUSDT 5m")
    'raw/klines of BTCUSDT 5m: failed'
    >>> phrase("no beat", "pt", 181.2)
    'sem sinal de vida há 181 s'
    """
    return _PHRASES[name][LANGUAGES.index(language)].format(*values)
