"""What rules say, in English and Portuguese: titles, what was found, what is lacking and who would bring it.

How a message is laid out belongs to `messages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from string import Formatter

from itb_assets.observability.alerts.catalogue import MINUS, NBSP, Language, length

_ENGLISH = {
    "title daily_loss": "daily loss above the limit",
    "title daily_loss_paper": "daily loss on paper above the limit",
    "title trading_halted": "trading halted",
    "title cloud_cost_over_budget": "cloud cost above the budget",
    "title cloud_cost_near_budget": "cloud cost near the budget",
    "title api_authentication_failed": "API refuses the credentials",
    "title dagster_silent": "Dagster's daemon or code server is gone",
    "title orderbook_stopped": "order-book collection stopped",
    "title win_rate_low": "win rate too low, beyond chance",
    "title win_rate_low_days": "win rate too low for days",
    "title rule_broken": "a rule cannot be computed",
    "title api_latency": "API answers slowly",
    "title model_drift": "model drift",
    "title feature_drift": "feature drift",
    "title unusual_volume": "unusual volume",
    "title unusual_volatility": "unusual volatility",
    "title data_stale": "data are late",
    "title gap_found": "klines are missing",
    "title alert_delivery_lagging": "alerts are not delivered",
    "title log_delivery_lagging": "log lines are not delivered",
    "title daily_pnl": "profit and loss of {day}",
    "title model_summary": "models on {day}",
    "title cost_summary": "cloud cost up to {day}",
    "gone": "not watched any more: it has no data in the window of the rule, or is no longer expected; "
    "whether it is good now is not known",
    "off": "the rule was switched off in the alerts' file; whether it is good now is not known",
    "no figure": "its data hold what is no number (NaN): look at the rows of the newest window",
    "loss": "{loss:.2f} % lost today, limit {limit:g} %: {pnl:+,.2f} {currency} of {capital:,.2f}, "
    "{trades} trades ended, open positions not valued",
    "loss paper": "{loss:.2f} % lost today, limit {limit:g} %: {pnl:+,.2f} {currency} of {capital:,.2f}, "
    "{trades} trades on paper ended",
    "loss size": "no price or quantity above zero to measure against: set [capital.paper] in the alerts' "
    "file",
    "loss unknown": "{unknown} trades that ended today have no result: what they lost is not known",
    "loss thin": "{trades} trades ended today, needs {needed}",
    "loss old": "the newest known trade is of {newest}: import newer ones, or no loss cannot be told from "
    "no news",
    "loss capital": "no capital to measure against: set [capital.executed] {currency} in the alerts' file",
    "loss currency": "no known quote currency: a loss cannot be held against a capital",
    "no executed": "no executed trade in the last {window}: `itb trades import` adds them",
    "no paper": "no live paper trade in the last {window}: `itb run` makes them once a model is in use",
    "win rate": "won {rate:.1%} of {trades} trades in {window}: the true rate is at most {upper:.1%} "
    "({confidence:.0%} sure), alarm below {threshold:.0%}",
    "win rate thin": "won {wins} of {trades} trades in {window}, needs {needed} trades",
    "win days": "won less than {threshold:.0%} on {low} whole days in a row ({rates}), limit {days}",
    "win days thin": "a day among the last {days} has fewer than {needed} trades ({counts})",
    "no trades": "no trade that ended in the last 90 days: `itb run` makes paper trades, `itb trades "
    "import` adds executed ones",
    "beat age": "last heartbeat {age} ago",
    "beat halted": "{reason} (heartbeat {age} ago)",
    "beat ahead": "the last heartbeat lies {ahead} ahead: a clock is wrong, and silence cannot be seen",
    "beat missing": "expected, but it never wrote a heartbeat",
    "beat restored": "a backup was put back, no heartbeat since",
    "beat server": "told already: the code server does not answer",
    "beat settles": "the database was away or the alerter new a moment ago, no heartbeat since",
    "no trading": "nothing trades here: a trading process writes the heartbeat `trading` or "
    "`trading:ACCOUNT`, with `halted` in its detail while it stands still",
    "no dagster": "no daemon runs here: its sensor writes the heartbeat `dagster_events` at every look",
    "no orderbook": "no collector runs here: one writes the heartbeat `orderbook:SYMBOL` with every batch "
    "it stores",
    "no api": "no API is watched here: whoever calls one writes the heartbeat `api:NAME` with "
    "`latency_p95_s`, `calls` and `auth_error`",
    "api refused": "{reason} (at {at})",
    "api fine": "the last call was let in ({age} ago)",
    "latency": "95 of 100 answers took up to {value:.2f} s ({calls} calls)",
    "latency old": "last measured {age} ago, needs one of the last {window}",
    "latency thin": "{calls} calls, needs {needed}",
    "beat wrong": "the heartbeat {name} lacks {lacks}: found {found}",
    "no log": "nothing delivers logs here: whoever does writes the heartbeat `log_delivery` with `oldest_s`",
    "log lag": "the oldest undelivered line is {age} old",
    "log silent": "the heartbeat of log delivery is {age} old",
    "cost": "{billed:,.2f} {currency} billed in {month}, budget {budget:,.2f}; {forecast}",
    "cost forecast": "at this pace {amount:,.2f} by the end of the month",
    "cost early": "too early for a forecast",
    "cost old": "the newest bill is of {until}, needs one of the last {max_age}",
    "cost budget": "no budget: set [budget] {currency} in the alerts' file",
    "no cost": "no bill is read here: whoever reads them writes the heartbeat `cloud_cost` or "
    "`cloud_cost:PROVIDER` with `month`, `currency`, `billed` and `billed_until`",
    "drift none": "no look for drift in the last {window}: `itb run` takes them once a model is in use",
    "drift old": "the newest look is of {at}, needs one of the last {max_age}",
    "drift fine": "{judged} measures judged at {at}, none alarms",
    "drift thin": "none of {measures} measures could be judged at {at}: {why}",
    "unusual": "{factor:,.{digits}f} times the usual for this time of day ({z:+.1f} robust deviations from "
    "{days} days, alarm beyond {limit:g})",
    "unusual thin": "{days} whole earlier windows, needs {needed}",
    "unusual gap": "the newest window has {klines} of {needed} klines",
    "no klines": "no klines in the database: `itb run` brings them, unless the storage phase is files",
    "stale": "the newest kline closed {age} ago",
    "stale never": "no kline is stored",
    "gap": "{missing} of {expected} klines missing in the last {window}, the first at {first}",
    "gap none": "{expected} klines in the last {window}, none missing",
    "gap thin": "{klines} klines in the last {window}, needs {needed}",
    "outbox": "{rows} wait, the oldest for {age}; {dead} given up in the last 24 h",
    "report pnl": "{who}: {pnl:+,.2f} {currency}, {wins} of {trades} won",
    "report quiet": "no trade ended",
    "report model": "{who}: {verdict}; won {rate:.1%} of {n} live trades",
    "report model new": "{who}: {verdict}; no live trade yet",
    "report drift": "drift in {metrics}",
    "report steady": "no drift",
    "report unjudged": "too few data to tell",
    "report cost": "{billed:,.2f} {currency} in {month}{budget}; {forecast}",
    "report budget": ", budget {amount:,.2f}",
    "report done": "told on {day}",
    "report waits": "due at {at} UTC",
    "executed": "executed",
    "paper": "on paper",
}
_PORTUGUESE = {
    "title daily_loss": "perda diária acima do limite",
    "title daily_loss_paper": "perda diária (simulada) acima do limite",
    "title trading_halted": "trading parado",
    "title cloud_cost_over_budget": "custo de nuvem acima do orçamento",
    "title cloud_cost_near_budget": "custo de nuvem perto do orçamento",
    "title api_authentication_failed": "API recusou as credenciais",
    "title dagster_silent": "o daemon ou o servidor de código do Dagster parou",
    "title orderbook_stopped": "coleta do livro de ofertas parou",
    "title win_rate_low": "taxa de acerto baixa demais (não é acaso)",
    "title win_rate_low_days": "taxa de acerto baixa há dias",
    "title rule_broken": "uma regra não pode ser calculada",
    "title api_latency": "API lenta",
    "title model_drift": "drift de modelo",
    "title feature_drift": "drift de features",
    "title unusual_volume": "volume incomum",
    "title unusual_volatility": "volatilidade incomum",
    "title data_stale": "dados atrasados",
    "title gap_found": "faltam candles",
    "title alert_delivery_lagging": "alertas não estão sendo entregues",
    "title log_delivery_lagging": "linhas de log não estão sendo entregues",
    "title daily_pnl": "resultado de {day}",
    "title model_summary": "modelos em {day}",
    "title cost_summary": "custo de nuvem até {day}",
    "gone": "não é mais observado: sem dados na janela da regra, ou já não é esperado; não se sabe como está "
    "agora",
    "off": "a regra foi desligada no arquivo de alertas; não se sabe como está agora",
    "no figure": "os dados têm algo que não é número (NaN): veja as linhas da janela mais nova",
    "loss": "{loss:.2f} % perdidos hoje, limite {limit:g} %: {pnl:+,.2f} {currency} de {capital:,.2f}, "
    "{trades} trades encerrados, posições abertas não avaliadas",
    "loss paper": "{loss:.2f} % perdidos hoje, limite {limit:g} %: {pnl:+,.2f} {currency} de {capital:,.2f}, "
    "{trades} trades simulados encerrados",
    "loss size": "sem preço ou quantidade acima de zero como referência: defina [capital.paper] no arquivo "
    "de alertas",
    "loss unknown": "{unknown} trades encerrados hoje não têm resultado: não se sabe quanto perderam",
    "loss thin": "{trades} trades encerrados hoje, precisa de {needed}",
    "loss old": "o trade mais novo conhecido é de {newest}: importe outros, ou nenhuma perda não se "
    "distingue de nenhuma notícia",
    "loss capital": "sem capital de referência: defina [capital.executed] {currency} no arquivo de alertas",
    "loss currency": "moeda de cotação desconhecida: a perda não se compara a um capital",
    "no executed": "nenhum trade executado nos últimos {window}: `itb trades import` os traz",
    "no paper": "nenhum trade simulado ao vivo nos últimos {window}: `itb run` os faz quando há modelo em "
    "uso",
    "win rate": "acertou {rate:.1%} de {trades} trades em {window}: a taxa real é de no máximo {upper:.1%} "
    "({confidence:.0%} de certeza), alarme abaixo de {threshold:.0%}",
    "win rate thin": "acertou {wins} de {trades} trades em {window}, precisa de {needed}",
    "win days": "acertou menos de {threshold:.0%} em {low} dias inteiros seguidos ({rates}), limite {days}",
    "win days thin": "um dos últimos {days} dias tem menos de {needed} trades ({counts})",
    "no trades": "nenhum trade encerrado nos últimos 90 dias: `itb run` faz os simulados, `itb trades "
    "import` traz os executados",
    "beat age": "último sinal de vida há {age}",
    "beat halted": "{reason} (sinal de vida há {age})",
    "beat ahead": "o último sinal de vida está {ahead} adiantado: um relógio está errado, e o silêncio não "
    "se vê",
    "beat missing": "esperado, mas nunca deu sinal de vida",
    "beat restored": "um backup foi restaurado, nenhum sinal de vida desde então",
    "beat server": "já avisado: o servidor de código não responde",
    "beat settles": "há pouco o banco estava fora ou o alerter começou, nenhum sinal de vida desde então",
    "no trading": "nada opera aqui: um processo de trading escreve o heartbeat `trading` ou "
    "`trading:ACCOUNT`, com `halted` no detalhe enquanto está parado",
    "no dagster": "nenhum daemon aqui: o sensor dele escreve o heartbeat `dagster_events` a cada leitura",
    "no orderbook": "nenhum coletor aqui: ele escreve o heartbeat `orderbook:SYMBOL` a cada lote que grava",
    "no api": "nenhuma API é observada aqui: quem a chama escreve o heartbeat `api:NAME` com "
    "`latency_p95_s`, `calls` e `auth_error`",
    "api refused": "{reason} (em {at})",
    "api fine": "a última chamada foi aceita (há {age})",
    "latency": "95 de 100 respostas levaram até {value:.2f} s ({calls} chamadas)",
    "latency old": "medida há {age}, precisa de uma dos últimos {window}",
    "latency thin": "{calls} chamadas, precisa de {needed}",
    "beat wrong": "o heartbeat {name} não traz {lacks}: encontrado {found}",
    "no log": "nada entrega logs aqui: quem o faz escreve o heartbeat `log_delivery` com `oldest_s`",
    "log lag": "a linha não entregue mais antiga tem {age}",
    "log silent": "o sinal de vida da entrega de logs tem {age}",
    "cost": "{billed:,.2f} {currency} faturados em {month}, orçamento {budget:,.2f}; {forecast}",
    "cost forecast": "neste ritmo, {amount:,.2f} até o fim do mês",
    "cost early": "cedo para uma previsão",
    "cost old": "a fatura mais nova é de {until}, precisa de uma dos últimos {max_age}",
    "cost budget": "sem orçamento: defina [budget] {currency} no arquivo de alertas",
    "no cost": "nenhuma fatura é lida aqui: quem as lê escreve o heartbeat `cloud_cost` ou "
    "`cloud_cost:PROVIDER` com `month`, `currency`, `billed` e `billed_until`",
    "drift none": "nenhuma verificação de drift nos últimos {window}: `itb run` as faz quando há modelo em "
    "uso",
    "drift old": "a verificação mais nova é de {at}, precisa de uma dos últimos {max_age}",
    "drift fine": "{judged} medidas julgadas em {at}, nenhuma em alarme",
    "drift thin": "nenhuma de {measures} medidas pôde ser julgada em {at}: {why}",
    "unusual": "{factor:,.{digits}f} vezes o normal para este horário ({z:+.1f} desvios robustos em {days} "
    "dias, alarme além de {limit:g})",
    "unusual thin": "{days} janelas anteriores inteiras, precisa de {needed}",
    "unusual gap": "a janela mais nova tem {klines} de {needed} candles",
    "no klines": "nenhum candle no banco: `itb run` os traz, a não ser que a fase de armazenamento seja "
    "files",
    "stale": "o candle mais novo fechou há {age}",
    "stale never": "nenhum candle gravado",
    "gap": "{missing} de {expected} candles ausentes nos últimos {window}, o primeiro em {first}",
    "gap none": "{expected} candles nos últimos {window}, nenhum ausente",
    "gap thin": "{klines} candles nos últimos {window}, precisa de {needed}",
    "outbox": "{rows} na fila, o mais antigo há {age}; {dead} abandonados nas últimas 24 h",
    "report pnl": "{who}: {pnl:+,.2f} {currency}, {wins} de {trades} com lucro",
    "report quiet": "nenhum trade encerrado",
    "report model": "{who}: {verdict}; acertou {rate:.1%} de {n} trades ao vivo",
    "report model new": "{who}: {verdict}; nenhum trade ao vivo ainda",
    "report drift": "drift em {metrics}",
    "report steady": "sem drift",
    "report unjudged": "dados insuficientes para julgar",
    "report cost": "{billed:,.2f} {currency} em {month}{budget}; {forecast}",
    "report budget": ", orçamento {amount:,.2f}",
    "report done": "dito em {day}",
    "report waits": "previsto para {at} UTC",
    "executed": "executado",
    "paper": "simulado",
}
CATALOGUES: Mapping[Language, Mapping[str, str]] = {"en": _ENGLISH, "pt": _PORTUGUESE}


class _Figures(Formatter):
    """Numbers and lengths of time as a language writes them; texts and counts as they are."""

    def __init__(self, language: Language) -> None:
        """Write in a language."""
        self._language = language

    def format_field(self, value: object, format_spec: str) -> str:
        """Write one figure."""
        if isinstance(value, timedelta):
            return length(value, self._language).replace(NBSP, " ")
        text = format(value, format_spec)
        if not format_spec or isinstance(value, str):
            return text
        text = text.replace("-", MINUS)
        return text if self._language == "en" else text.translate({ord(","): ".", ord("."): ","})


_WRITERS: Mapping[Language, _Figures] = {"en": _Figures("en"), "pt": _Figures("pt")}


def said(language: Language, key: str, figures: Mapping[str, object]) -> str:
    """Return a line of a catalogue with its figures.

    >>> said("pt", "latency", {"value": 1.25, "calls": 3000})
    '95 de 100 respostas levaram até 1,25 s (3000 chamadas)'
    >>> said("en", "beat age", {"age": timedelta(minutes=61)})
    'last heartbeat 1 h 1 min ago'
    """
    return _WRITERS[language].vformat(CATALOGUES[language][key], (), figures)
