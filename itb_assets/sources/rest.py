"""Binance spot klines over REST: pages in parallel within the weight budget, closed candles only.

Needs no key. Retries and pauses belong to `http`, the public archive to `archive`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd

from itb_assets.domain.klines import empty_klines
from itb_assets.domain.markets import Market, parse_symbol
from itb_assets.errors import ExchangeRefused, ExchangeUnavailable, InvalidMarket, UnknownSymbol
from itb_assets.sources.budget import WeightBudget
from itb_assets.sources.cache import DownloadCache
from itb_assets.sources.http import HttpClient, RetryPolicy, Tally
from itb_assets.sources.protocol import FetchReport, KlineBatch, Progress, Sleep
from itb_assets.sources.rows import clip, join_frames, open_times_ms, parse_json_rows

PAGE_ROWS = 1000
KLINES_WEIGHT, EXCHANGE_INFO_WEIGHT, TIME_WEIGHT = 2, 20, 1
NO_SUCH_SYMBOL, NO_SUCH_INTERVAL = -1121, -1120


class RestKlines:
    """Klines of one host that speaks Binance's spot API; one instance serves many markets and threads."""

    def __init__(
        self,
        base_url: str,
        *,
        cache_dir: Path,
        parallel: int = 4,
        sleep: Sleep = time.sleep,
        clock_s: Callable[[], float] = time.monotonic,
        policy: RetryPolicy | None = None,
        budget: WeightBudget | None = None,
    ) -> None:
        """Send nothing yet; `budget` may be shared by several sources behind one address."""
        self.budget = budget or WeightBudget(sleep=sleep, clock_s=clock_s)
        self._http = HttpClient(base_url, budget=self.budget, sleep=sleep, parallel=parallel, policy=policy)
        self._cache = DownloadCache(cache_dir, self._http.base_url)
        self._parallel = parallel
        self._limits_known = False

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def forget(self, market: Market, before_ms: int) -> int:
        """Drop cached pages that end by `before_ms`, because the caller has stored them."""
        return self._cache.forget(market, before_ms)

    def server_time_ms(self) -> int:
        """Return the exchange's clock."""
        return self._server_time(Tally())

    def symbol_status(self, symbol: str) -> str:
        """Return TRADING, HALT or BREAK; raise UnknownSymbol where the exchange does not list it."""
        parse_symbol(symbol)
        return str(self._exchange_info(symbol, Tally())["status"])

    def fetch(
        self, market: Market, start_ms: int, end_ms: int, *, progress: Progress | None = None
    ) -> KlineBatch:
        """Return the closed klines that open in [start_ms, end_ms); see `KlineSource.fetch`.

        The first page is asked for alone: it finds where the market begins, then the rest go in parallel.
        """
        tally = Tally()
        if not self._limits_known:
            self._exchange_info(market.symbol, tally)
        server_ms = self._server_time(tally)
        start = -(-start_ms // market.freq_ms) * market.freq_ms
        end = min(-(-end_ms // market.freq_ms) * market.freq_ms, server_ms)
        if start >= end:
            return KlineBatch(empty_klines(), tally.report)
        self._cache.prune()
        download = _Download(self, market, server_ms, tally, keep=end - start > PAGE_ROWS * market.freq_ms)
        frame = clip(download.run(start, end, progress), start_ms, end_ms)
        return KlineBatch(frame, tally.report)

    def _server_time(self, tally: Tally) -> int:
        body = self._json("/api/v3/time", {}, tally, TIME_WEIGHT)
        if not isinstance(body, dict) or not isinstance(body.get("serverTime"), int):
            raise ExchangeUnavailable(
                f"{self._http.base_url}/api/v3/time answered no serverTime: {body!r:.200}"
            )
        return int(body["serverTime"])

    def _exchange_info(self, symbol: str, tally: Tally) -> dict[str, Any]:
        body = self._json("/api/v3/exchangeInfo", {"symbol": symbol}, tally, EXCHANGE_INFO_WEIGHT)
        listed = body.get("symbols") if isinstance(body, dict) else None
        if not listed:
            raise ExchangeUnavailable(
                f"{self._http.base_url}/api/v3/exchangeInfo answered no symbols: {body!r:.200}"
            )
        try:
            status, limit = dict(listed[0]), _weight_limit(body)
        except (KeyError, TypeError, ValueError) as error:
            raise ExchangeUnavailable(
                f"{self._http.base_url}/api/v3/exchangeInfo answered something else: {body!r:.200}"
            ) from error
        if limit:
            self.budget.set_limit(limit)
        self._limits_known = True
        return status

    def _json(self, path: str, params: Mapping[str, str | int], tally: Tally, weight: int) -> Any:  # noqa: ANN401 - JSON
        answer = self._http.get(path, params, tally=tally, weight=weight)
        try:
            body = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise ExchangeUnavailable(
                f"{answer.url} answered {answer.status} with no JSON; is that host an exchange?"
            ) from error
        if answer.status >= 400:  # noqa: PLR2004 - the class of statuses
            raise _refusal(answer.status, body, answer.url, params)
        return body


class _Download:
    """One fetch under way: pages, their cache and the candle that is still open."""

    def __init__(
        self, source: RestKlines, market: Market, server_ms: int, tally: Tally, *, keep: bool
    ) -> None:
        self._source, self._market, self._server_ms, self._tally = source, market, server_ms, tally
        self._keep = keep

    def run(self, start_ms: int, end_ms: int, progress: Progress | None) -> pd.DataFrame:
        say = progress or (lambda done, total, what: None)  # noqa: ARG005 - the protocol's shape
        first, covered_ms = self._first_page(start_ms, end_ms)
        page_ms = PAGE_ROWS * self._market.freq_ms
        pages = [(at, min(at + page_ms, end_ms)) for at in range(covered_ms, end_ms, page_ms)]
        say(1, len(pages) + 1, f"{self._market} REST")
        if not pages:
            return first
        frames = {start_ms: first}
        with ThreadPoolExecutor(min(self._source._parallel, len(pages)), "rest") as pool:  # noqa: SLF001 - one unit
            jobs = {pool.submit(self._page, *page): page for page in pages}
            try:
                for done, job in enumerate(as_completed(jobs), 2):
                    frames[jobs[job][0]] = job.result()
                    say(done, len(pages) + 1, f"{self._market} REST")
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return join_frames([frames[at] for at in sorted(frames)])

    def _first_page(self, start_ms: int, end_ms: int) -> tuple[pd.DataFrame, int]:
        """Return the first klines there are from `start_ms`, and the time up to which they are all."""
        if cached := self._cached(start_ms, end_ms):
            return cached
        rows = self._ask(start_ms, end_ms)
        covered_ms = end_ms
        if len(rows) == PAGE_ROWS:
            covered_ms = int(open_times_ms(rows)[-1]) + self._market.freq_ms
        return self._closed(rows, start_ms, covered_ms), covered_ms

    def _page(self, start_ms: int, end_ms: int) -> pd.DataFrame:
        cached = self._cached(start_ms, end_ms)
        if cached and cached[1] == end_ms:
            return cached[0]
        return self._closed(self._ask(start_ms, end_ms), start_ms, end_ms)

    def _cached(self, start_ms: int, end_ms: int) -> tuple[pd.DataFrame, int] | None:
        found = self._source._cache.find_page(self._market, start_ms, end_ms) if self._keep else None  # noqa: SLF001
        if found:
            self._tally.add(FetchReport(resumed=1))
        return found

    def _ask(self, start_ms: int, end_ms: int) -> pd.DataFrame:
        params: dict[str, str | int] = {
            "symbol": self._market.symbol,
            "interval": self._market.freq,
            "startTime": start_ms,
            "endTime": end_ms - 1,
            "limit": PAGE_ROWS,
        }
        rows = self._source._json("/api/v3/klines", params, self._tally, KLINES_WEIGHT)  # noqa: SLF001
        return clip(
            parse_json_rows(rows, self._market, origin=f"REST klines of {self._market}"), start_ms, end_ms
        )

    def _closed(self, rows: pd.DataFrame, start_ms: int, end_ms: int) -> pd.DataFrame:
        """Drop candles still open by the server's clock; cache a page that no candle can change any more.

        A page that ends at the server's time, in the middle of a candle, lacks that candle and is not kept.
        """
        open_still = rows["close_time"].to_numpy() >= self._server_ms
        self._tally.add(FetchReport(unclosed_dropped=int(open_still.sum())))
        rows = rows[~open_still].reset_index(drop=True)
        if self._keep and end_ms <= self._server_ms and end_ms % self._market.freq_ms == 0:
            self._source._cache.put_page(self._market, start_ms, end_ms, rows)  # noqa: SLF001
        return rows


def _weight_limit(info: Mapping[str, Any]) -> int | None:
    """Return the request weight a minute that exchangeInfo states, or None."""
    for limit in info.get("rateLimits", ()):
        minute = limit["interval"] == "MINUTE" and limit["intervalNum"] == 1
        if minute and limit["rateLimitType"] == "REQUEST_WEIGHT":
            return int(limit["limit"])
    return None


def _refusal(status: int, body: object, url: str, params: Mapping[str, str | int]) -> Exception:
    code = body.get("code") if isinstance(body, dict) else None
    said = body.get("msg", "") if isinstance(body, dict) else ""
    if code == NO_SUCH_SYMBOL:
        return UnknownSymbol(
            f"symbol {params.get('symbol')} is not listed by the exchange at {url.partition('/api/')[0]} "
            f"(code {code}: {said}); check the spelling, or remove it from the symbols you follow"
        )
    if code == NO_SUCH_INTERVAL:
        return InvalidMarket(f"the exchange knows no freq {params.get('interval')!r} (code {code}: {said})")
    return ExchangeRefused(
        f"{url} answered {status}, code {code}: {said or body!r:.200}; the request cannot succeed"
    )
