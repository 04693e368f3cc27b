"""Apprise is optional: without it an error says what to install, with it a message arrives or waits."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from loguru import logger
from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.apprise_channel import Apprise, addresses_of, hide_addresses
from itb_assets.observability.alerts.channels import TryLater
from itb_assets.observability.logs import configure_logging, redact

KEY = "zz5ecretPathzz"
OTHER_KEY = "yy5ecretLoginyy"


class Sink(BaseHTTPRequestHandler):
    """Takes what Apprise posts, or answers as it is told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, json.loads(body)))
        answer = json.dumps({"error": f"no such path {self.path}"}).encode()
        self.send_response(self.server.status)
        for name, value in self.server.more_headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Stay quiet."""


def listening():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.taken, server.status, server.more_headers = [], 200, {}
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def sink():
    server = listening()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def said(caplog):
    """Return everything that was logged, by whomever, at the finest level."""
    own: list[str] = []
    configure_logging("TRACE", sink=own.append)
    caplog.set_level(logging.DEBUG)
    yield lambda: "\n".join([*own, caplog.text])
    logger.remove()


def address(sink, key=KEY, more=""):
    return f"json://me:{OTHER_KEY}@127.0.0.1:{sink.server_port}/{key}{more}"


def channel(*addresses):
    return Apprise(SecretStr(" ".join(addresses)))


def shown_by(error):
    """Return what an exception shows to whoever asks for everything."""
    return "".join(
        [
            *traceback.TracebackException.from_exception(error, capture_locals=True).format(),
            *map(repr, (error, error.args, error.__cause__, error.__context__)),
        ]
    )


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'itb-assets\[apprise\]'") as raised:
        Apprise(SecretStr(f"json://host/{KEY}"))
    assert "ITB_APPRISE_URLS" in str(raised.value)
    assert KEY not in "".join(traceback.format_exception(raised.value))


def test_a_message_arrives_with_its_first_line_as_the_title(sink):
    receipt = channel(address(sink)).send("🚨 <b>A &lt; B</b>\nsecond <i>line</i>\nthird", b"png")
    ((path, taken),) = sink.taken
    assert path == f"/{KEY}"
    assert taken["title"] == "🚨 A < B"
    assert taken["message"] == "second <i>line</i><br>\nthird"
    assert (str(receipt), receipt.posts) == ("taken (without its chart)", 1)


def test_a_message_of_one_line_has_no_title(sink):
    channel(address(sink)).send("<b>alone</b>")
    assert [(taken["title"], taken["message"]) for _, taken in sink.taken] == [("", "<b>alone</b>")]


def test_what_a_service_has_no_room_for_goes_in_parts(sink, monkeypatch):
    """Discord takes 2,000 characters, others less: nothing of a message is cut off."""
    from apprise.plugins.custom_json import NotifyJSON  # noqa: PLC0415 - slow to import, and optional

    monkeypatch.setattr(NotifyJSON, "body_maxlen", 200)
    lines = [f"line {number} of many" for number in range(40)]
    channel(address(sink)).send("\n".join(lines))
    assert len(sink.taken) > 3
    said_in_all = " ".join(f"{taken['title']} {taken['message']}" for _, taken in sink.taken)
    assert [line for line in lines if line not in said_in_all.replace("<br>", " ")] == []


def test_what_shows_no_links_gets_their_addresses(sink, monkeypatch):
    from apprise import NotifyFormat  # noqa: PLC0415 - slow to import, and optional
    from apprise.plugins.custom_json import NotifyJSON  # noqa: PLC0415 - as above

    monkeypatch.setattr(NotifyJSON, "notify_format", (NotifyFormat.TEXT,))
    channel(address(sink)).send('<b>A</b>\n1 &lt; 2\n<a href="https://host/?a=1&amp;b=2">What to do</a>')
    assert [taken["message"] for _, taken in sink.taken] == ["1 < 2\nWhat to do: https://host/?a=1&b=2"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_refusal_is_tried_later_and_shows_no_secret(sink, said, status):
    sink.status, sink.more_headers = status, {"Retry-After": "30"}
    one = channel(address(sink))
    with pytest.raises(TryLater, match="1 \\(JSON\\) did not take it") as raised:
        one.send("text")
    assert (raised.value.maybe_sent, raised.value.after_s) == (True, 0)
    assert len(sink.taken) == 1
    for text in (shown_by(raised.value), said(), repr(one), repr(vars(one))):
        assert KEY not in text
        assert OTHER_KEY not in text


def test_nobody_at_the_port_is_tried_later_and_shows_no_secret(sink, said):
    one = channel(address(sink))
    sink.shutdown()
    sink.server_close()
    with pytest.raises(TryLater) as raised:
        one.send("text")
    for text in (shown_by(raised.value), said(), repr(one)):
        assert KEY not in text
        assert OTHER_KEY not in text


@pytest.mark.parametrize(("status", "more"), [(302, ""), (307, ""), (308, "?redirect=yes")])
def test_no_other_host_is_told(sink, status, more):
    """Not even where the address itself asks for it: what follows would carry message and login along."""
    elsewhere = listening()
    try:
        sink.status = status
        sink.more_headers = {"Location": f"http://localhost:{elsewhere.server_port}/{KEY}"}
        with pytest.raises(TryLater):
            channel(address(sink, more=more)).send("text")
        assert elsewhere.taken == []
    finally:
        elsewhere.shutdown()
        elsewhere.server_close()


def test_several_addresses_each_get_it(sink):
    channel(address(sink), address(sink, "second")).send("text")
    assert sorted(path for path, _ in sink.taken) == ["/second", f"/{KEY}"]


def test_one_that_fails_does_not_keep_the_message_from_the_others_and_is_named(sink, said):
    receipt = channel("json://127.0.0.1:9/nobodythere", address(sink)).send("text")
    assert len(sink.taken) == 1
    assert str(receipt) == "taken (but 1 (JSON) did not take it)"
    assert "sent, but 1 (JSON) did not take it" in said()
    assert "nobodythere" not in said() + str(receipt)


def test_a_failure_of_apprise_itself_is_tried_later(sink, monkeypatch):
    one = channel(address(sink))

    def broken(**_):
        raise RuntimeError(f"cannot reach json://{KEY}")

    monkeypatch.setattr(one._services[0].apprise, "notify", broken)
    with pytest.raises(TryLater, match="failed with RuntimeError") as raised:
        one.send("text")
    assert KEY not in str(raised.value)
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("urls", "named"),
    [
        ("", "holds no address"),
        ("nothing://host", r"address 1 .*\(nothing://\.\.\.\): expected service"),
        (f"json://host/a {KEY}", r"address 2 of ITB_APPRISE_URLS is none that Apprise knows: expected"),
        (f"{KEY}://host", "address 1 of ITB_APPRISE_URLS is none"),
        (f"discord://{KEY}", r"address 1 .*\(discord://"),
    ],
)
def test_an_address_that_apprise_does_not_know_is_found_at_once(said, urls, named):
    with pytest.raises(ConfigError, match=named) as raised:
        Apprise(SecretStr(urls))
    assert KEY not in str(raised.value) + said()


def test_addresses_are_separated_by_spaces_or_a_comma_before_the_next():
    text = " json://a/b?to=x,y , mailto://u:p@host?to=v,w\tslack://T/B/C/#c,json://d "
    assert addresses_of(SecretStr(text)) == [
        "json://a/b?to=x,y",
        "mailto://u:p@host?to=v,w",
        "slack://T/B/C/#c",
        "json://d",
    ]


def test_every_part_of_an_address_that_may_be_a_key_is_hidden_quoted_or_not():
    hide_addresses(SecretStr("mailtos://someone:p%40ssw0rd-long@mail.example?from=xyzzy-plugh%21"))
    said = redact("p%40ssw0rd-long p@ssw0rd-long xyzzy-plugh! mail 127.0.0.1")
    assert said == "*** *** *** mail 127.0.0.1"
