"""A server on this machine that behaves as a test wants."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """Serves one content; says what it was asked for."""

    port: int = 0
    content: bytes = CONTENT
    status: int = 200
    knows_ranges: bool = True
    stop_after: int | None = None
    location: str = ""
    length: str | None = None
    is_endless: bool = False
    n_sent: int = 0
    ranges: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/weights.pth"


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port of the loopback."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.ranges.append(wanted)
            if state.location and self.path == "/weights.pth":
                self.send_response(302)
                self.send_header("Location", state.location)
                self.end_headers()
                return
            if state.status != 200:
                self.send_error(state.status)
                return
            start = 0
            if wanted and state.knows_ranges:
                found = re.fullmatch(r"bytes=(\d+)-", wanted)
                start = int(found[1]) if found else 0
                if start >= len(state.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                end = len(state.content)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
            else:
                self.send_response(200)
            if not state.is_endless:
                length = len(state.content) - start if state.length is None else state.length
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(state.content[start : state.stop_after])
            with suppress(OSError):
                while state.is_endless:
                    self.wfile.write(bytes(1 << 20))
                    state.n_sent += 1 << 20

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = running.server_address[1]
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
