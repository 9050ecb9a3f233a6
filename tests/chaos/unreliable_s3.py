"""An S3 on loopback behind a server that refuses, delays, cuts and repeats requests.

What is behind it is moto's, which keeps objects and writes one only where there is none, as S3 does. What a client sees
of a network that fails is made in front of it, so that the real client, its retries and our storage deal with it.
"""

from __future__ import annotations

import http.client
import http.server
import logging
import threading
import time
from urllib.parse import urlsplit

SLOW_S = 1.0

REFUSED = "storage: connection refused"
SLOW = "storage: slow answer"
TORN = "storage: write torn off"
LOST = "storage: written, answer lost"
REPEATED = "storage: request repeated"
BUSY = "storage: 503"
CONFLICT = "storage: 409"  # rare at S3, and thus no part of a campaign
FAULTS = (REFUSED, SLOW, TORN, LOST, REPEATED, BUSY)

_BUSY = b"<Error><Code>ServiceUnavailable</Code><Message>Reduce nothing, come back later.</Message></Error>"
_CONFLICTING = b"<Error><Code>ConditionalRequestConflict</Code><Message>Send it again.</Message></Error>"


class UnreliableS3:
    """The server, with an empty bucket.

    Attributes:
        url: of the endpoint.
        num_disturbed: requests that were, so far.
    """

    BUCKET = "disturbed-runs"

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self._behind = self._moto.get_host_and_port()
        self._lock = threading.Lock()
        self._how, self._left = "", 0
        self.num_disturbed = 0
        handler = type("Handler", (_Handler,), {"s3": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.forward("PUT", f"/{self.BUCKET}", {"Host": self._host}, b"")

    @property
    def environment(self) -> dict[str, str]:
        """What a client has to be told."""
        made_up = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "made-up")
        proxies = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
        return {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1", **made_up, **proxies}

    def disturb(self, how: str, number: int) -> None:
        """The next requests are disturbed, so many of them."""
        with self._lock:
            self._how, self._left = how, number

    def recover(self) -> None:
        self.disturb("", 0)

    def drawn(self, method: str) -> str:
        """How a request that comes in is disturbed; empty for not at all. Only what writes is torn or repeated."""
        with self._lock:
            if not self._left or (method not in ("PUT", "DELETE") and self._how in (TORN, LOST, REPEATED, CONFLICT)):
                return ""
            self._left -= 1
            self.num_disturbed += 1
            return self._how

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict, bytes]:
        connection = http.client.HTTPConnection(*self._behind, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._moto.stop()

    @property
    def _host(self) -> str:
        return urlsplit(self.url).netloc


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: UnreliableS3

    def _handle(self) -> None:
        how = self.s3.drawn(self.command)
        if how == REFUSED:
            self.close_connection = True
            return
        number = int(self.headers.get("Content-Length") or 0)
        if how == TORN:
            self.rfile.read(number // 2)
            self.close_connection = True
            return
        body = self.rfile.read(number)
        if how == SLOW:
            time.sleep(SLOW_S)
        if how == BUSY:
            self._answer(503, {"Content-Type": "application/xml"}, _BUSY)
            return
        if how == CONFLICT:
            self._answer(409, {"Content-Type": "application/xml"}, _CONFLICTING)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")}
        answer = self.s3.forward(self.command, self.path, headers, body)
        if how == REPEATED:
            answer = self.s3.forward(self.command, self.path, headers, body)
        if how == LOST:
            self.close_connection = True
            return
        self._answer(*answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        # What HEAD says of an object's length is not that of its own answer.
        length = headers.get("Content-Length", str(len(content))) if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # a client that was killed
            self.close_connection = True
