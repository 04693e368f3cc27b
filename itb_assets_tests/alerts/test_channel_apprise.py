"""Apprise is optional: without it the message says what to install, with it a message arrives."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.apprise_channel import Apprise
from itb_assets.observability.alerts.channels import TryLater

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own

KEY = "zz5ecretPathzz"


class Sink(BaseHTTPRequestHandler):
    """Takes what Apprise posts, or answers as it is told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Stay quiet."""


@pytest.fixture
def sink():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.taken, server.status = [], 200
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def installed():
    """Skip where the optional package is not installed."""
    return pytest.importorskip("apprise", reason="the optional package apprise is not installed")


def channel(sink):
    return Apprise(SecretStr(f"json://127.0.0.1:{sink.server_port}/{KEY}"))


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'itb-assets\[apprise\]'") as raised:
        Apprise(SecretStr(f"json://host/{KEY}"))
    assert KEY not in "".join(traceback.format_exception(raised.value))


def test_a_message_arrives(installed, sink):
    receipt = channel(sink).send("🚨 <b>A &lt; B</b>\nsecond line", b"png")
    (taken,) = sink.taken
    assert "A" in taken["message"]
    assert "second line" in taken["message"]
    assert "without its chart" in receipt.note


def test_a_failure_is_tried_later_and_shows_no_secret(installed, sink, caplog):
    caplog.set_level(logging.DEBUG)
    sink.status = 500
    one = channel(sink)
    with pytest.raises(TryLater) as raised:
        one.send("text")
    assert raised.value.maybe_sent is True
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    for text in (shown, caplog.text, repr(one), str(raised.value), repr(raised.value.__context__)):
        assert KEY not in text


@pytest.mark.parametrize("url", ["", "nothing://host", f"no address {KEY}"])
def test_an_address_that_apprise_does_not_know_is_found_at_once(installed, caplog, url):
    with pytest.raises(ConfigError, match="address for Apprise") as raised:
        Apprise(SecretStr(url))
    assert KEY not in str(raised.value) + caplog.text
