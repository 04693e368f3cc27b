"""The REST part of the demo exchange: Binance's paths, parameters, error codes and weight headers.

Sockets and the archive do not belong here.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from itb_assets.demo.faults import Faults, RestFault
from itb_assets.demo.market import Venue
from itb_assets.domain.markets import FREQ_MS, Market
from itb_assets.errors import UnknownSymbol
from itb_assets.sources.protocol import NowMs

MAX_LIMIT, DEFAULT_LIMIT = 1000, 500
WEIGHTS = {
    "/api/v3/ping": 1,
    "/api/v3/time": 1,
    "/api/v3/exchangeInfo": 20,
    "/api/v3/klines": 2,
}
_SYMBOL = re.compile(r"[A-Z0-9-_.]{1,20}")
_NUMBER = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP; `drop` stands for a connection broken off in the middle of it."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


class _Wrong(Exception):
    """A request Binance answers with 400 and a code."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code, self.said = code, said


class Api:
    """Answers API requests from many threads; counts weight in minutes of this machine's clock."""

    def __init__(self, venue: Venue, *, now_ms: NowMs, faults: Faults, weight_limit: int) -> None:
        """Serve `venue` as it stands at `now_ms()`."""
        self._venue, self._now_ms, self._faults, self._limit = venue, now_ms, faults, weight_limit
        self._lock = threading.Lock()
        self._minute, self._used, self._asked = 0, 0, 0

    def answer(self, path: str, query: Mapping[str, str]) -> Reply:
        """Return the answer to GET `path`."""
        if path not in WEIGHTS:
            return _reply(404, {"code": -1000, "msg": f"no such path: {path}"}, {})
        used, asked = self._count(WEIGHTS[path])
        headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}
        if used > self._limit:
            return _too_many(429, 60 - int(time.time()) % 60, headers)
        if self._faults.every_429 and asked % self._faults.every_429 == 0:
            return _too_many(429, self._faults.retry_after_s, headers)
        fault = None if path == "/api/v3/ping" else self._faults.strike_rest()
        if fault in ("429", "418"):
            return _too_many(int(fault), self._faults.retry_after_s, headers)
        if fault in ("403", "500", "garbage"):
            return Reply(200 if fault == "garbage" else int(fault), b"<html>no</html>", "text/html", headers)
        return self._sound(path, query, headers, fault)

    def _sound(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], fault: RestFault | None
    ) -> Reply:
        try:
            body = self._body(path, query)
        except _Wrong as wrong:
            return _reply(400, {"code": wrong.code, "msg": wrong.said}, headers)
        if fault in ("nan", "duplicate") and isinstance(body, list) and body:
            body = _spoilt(body, fault)
        return replace(_reply(200, body, headers), drop=fault == "drop")

    def _count(self, weight: int) -> tuple[int, int]:
        with self._lock:
            minute = int(time.time()) // 60
            if minute != self._minute:
                self._minute, self._used = minute, 0
            self._used += weight
            self._asked += 1
            return self._used, self._asked

    def _body(self, path: str, query: Mapping[str, str]) -> object:
        if path == "/api/v3/ping":
            return {}
        if path == "/api/v3/time":
            return {"serverTime": self._now_ms()}
        if path == "/api/v3/exchangeInfo":
            return self._exchange_info(query)
        return _rows(self._klines(query))

    def _exchange_info(self, query: Mapping[str, str]) -> object:
        wanted: tuple[str, ...] = self._venue.symbols
        if "symbol" in query:
            wanted = (self._symbol(query["symbol"]),)
        elif "symbols" in query:
            wanted = tuple(self._symbol(name) for name in json.loads(query["symbols"]))
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self._limit},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61_000},
        ]
        symbols = [{"symbol": name, "status": "TRADING", "isSpotTradingAllowed": True} for name in wanted]
        now_ms = self._now_ms()
        return {"timezone": "UTC", "serverTime": now_ms, "rateLimits": limits, "symbols": symbols}

    def _symbol(self, name: str) -> str:
        if not _SYMBOL.fullmatch(name):
            raise _Wrong(
                -1100,
                "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
            )
        if name not in self._venue.symbols:
            raise _Wrong(-1121, "Invalid symbol.")
        return name

    def _klines(self, query: Mapping[str, str]) -> pd.DataFrame:
        for name in ("symbol", "interval"):
            if name not in query:
                raise _Wrong(
                    -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
                )
        symbol = self._symbol(query["symbol"])
        if query["interval"] not in FREQ_MS:
            raise _Wrong(-1120, "Invalid interval.")
        limit = min(_number(query, "limit", DEFAULT_LIMIT), MAX_LIMIT)
        if limit < 1:
            raise _Wrong(-1130, "Data sent for parameter 'limit' is not valid.")
        market, now_ms = Market(symbol, query["interval"]), self._now_ms()
        end_ms = min(_number(query, "endTime", now_ms), now_ms) + 1
        try:
            first_ms = self._venue.first_open_ms(market)
        except UnknownSymbol:
            return self._venue.klines(market, 0, 0, now_ms=now_ms)
        if "startTime" in query:
            start_ms = _number(query, "startTime", 0)
            if "endTime" in query and start_ms > _number(query, "endTime", 0):
                raise _Wrong(
                    -1130, "Data sent for parameter 'startTime' is not valid: it is after 'endTime'."
                )
            return self._forwards(market, max(start_ms, first_ms), end_ms, limit)
        return self._backwards(market, first_ms, end_ms, limit)

    def _forwards(self, market: Market, start_ms: int, end_ms: int, limit: int) -> pd.DataFrame:
        """Return the first `limit` klines from `start_ms`, however many holes there are."""
        now_ms, span_ms = self._now_ms(), (limit + 1) * market.freq_ms
        found = self._venue.klines(market, start_ms, min(start_ms + span_ms, end_ms), now_ms=now_ms)
        while len(found) < limit and start_ms + span_ms < end_ms:
            span_ms *= 2
            found = self._venue.klines(market, start_ms, min(start_ms + span_ms, end_ms), now_ms=now_ms)
        return found.head(limit)

    def _backwards(self, market: Market, first_ms: int, end_ms: int, limit: int) -> pd.DataFrame:
        """Return the last `limit` klines before `end_ms`."""
        now_ms, span_ms = self._now_ms(), (limit + 1) * market.freq_ms
        found = self._venue.klines(market, max(end_ms - span_ms, first_ms), end_ms, now_ms=now_ms)
        while len(found) < limit and end_ms - span_ms > first_ms:
            span_ms *= 2
            found = self._venue.klines(market, max(end_ms - span_ms, first_ms), end_ms, now_ms=now_ms)
        return found.tail(limit)


def _number(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not _NUMBER.fullmatch(text):
        raise _Wrong(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return int(text)


def _rows(klines: pd.DataFrame) -> list[list[object]]:
    """Return klines as Binance writes them: times and trades as numbers, everything else as strings."""
    columns: list[list[object]] = []
    for name in klines.columns:
        if name == "timestamp":
            columns.append(klines[name].to_numpy(dtype="datetime64[ms]").view("int64").tolist())
        elif name in ("close_time", "trades"):
            columns.append(klines[name].tolist())
        elif name == "ignore":
            columns.append(["0"] * len(klines))
        else:
            columns.append([f"{value:.8f}" for value in klines[name].tolist()])
    return [list(row) for row in zip(*columns, strict=True)]


def _spoilt(rows: list[list[object]], fault: str) -> list[list[object]]:
    middle = len(rows) // 2
    if fault == "duplicate":
        return [*rows[: middle + 1], *rows[middle:]]
    return [*rows[:middle], [*rows[middle][:4], "NaN", *rows[middle][5:]], *rows[middle + 1 :]]


def _too_many(status: int, retry_after_s: int, headers: Mapping[str, str]) -> Reply:
    said = {"code": -1003, "msg": "Too many requests; wait as long as Retry-After says."}
    return _reply(status, said, {**headers, "Retry-After": str(retry_after_s)})


def _reply(status: int, body: object, headers: Mapping[str, str]) -> Reply:
    return Reply(status, json.dumps(body, separators=(",", ":")).encode(), headers=headers)
