"""Stand-ins for API containers, and nginx in front of them as docker/nginx.conf has it."""

import json
import os
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from compose_file import ROOT
from server_process import Client, free_port, wait_until

CONF = ROOT / "deploy" / "docker" / "nginx.conf"
_CONTAINERS = "server api:5000 resolve "  # Debian's nginx knows no `resolve` yet, and no name server has the name


class StandIn:
    """An API: tells what came, breaks off at ``/break``, and sends its second event when ``go_on`` is set."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.go_on = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Be gone: whoever connects is refused, and connections that wait are closed. May be called twice."""
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.close_connections()


class _Server(ThreadingHTTPServer):
    stand_in: StandIn
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def close_connections(self) -> None:
        """Close what was accepted."""
        for connection in self._connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.stand_in.requests.append((self.command, self.path))
        if self.path == "/break":
            self.close_connection = True
        elif self.path == "/stream":
            self._stream()
        else:
            told = {"port": self.server.stand_in.port, "bytes": len(body), "headers": dict(self.headers)}
            self._answer(json.dumps(told).encode())

    do_GET = do_POST = handle_any  # noqa: N815 - the base class looks for these names

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("X-Accel-Buffering", "no")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: 1\n\n")
        assert self.server.stand_in.go_on.wait(30)
        self.wfile.write(b"data: 2\n\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
        """Nothing."""


class Nginx:
    """nginx with the project's configuration, in front of APIs on these ports of this machine."""

    def __init__(self, folder: Path, *api_ports: int) -> None:
        """Skips the test where nginx is missing, save in CI."""
        program = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
        if program is None:
            if os.environ.get("CI"):
                pytest.fail("nginx is missing: .ci/run installs it")
            pytest.skip("nginx is not installed")
        self.port, self._check_port = free_port(), free_port()
        self._log = folder / "nginx.log"
        path = folder / "nginx.conf"
        path.write_text(self._configuration(folder, api_ports), encoding="utf-8")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([program, "-c", path, "-p", folder, "-g", "daemon off;"], stderr=log)
        wait_until(self._is_well, timeout=20)

    def _configuration(self, folder: Path, api_ports: tuple[int, ...]) -> str:
        text = CONF.read_text(encoding="utf-8")
        [line] = [line for line in text.splitlines() if _CONTAINERS in line]
        lines = [line.replace(_CONTAINERS, f"server 127.0.0.1:{port} ") for port in api_ports]
        text = text.replace(line, "\n".join(lines)).replace("/tmp/", f"{folder}/")
        text = text.replace("listen 5000;", f"listen 127.0.0.1:{self.port};")
        text = text.replace("listen 127.0.0.1:5001;", f"listen 127.0.0.1:{self._check_port};")
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        return f"user root;\n{text}" if is_root else text  # a folder of the tests belongs to who runs them

    def _is_well(self) -> bool:
        assert self._process.poll() is None, self.log
        try:
            return self.send("GET", "/", port=self._check_port)[0] == 200
        except OSError:
            return False

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(encoding="utf-8")

    def send(self, method: str, path: str, body: bytes | None = None, *, port: int = 0) -> tuple[int, Any]:
        """Status and JSON, or text, of an answer."""
        client = Client(port or self.port)
        try:
            status, text = client.request(method, path, body)
        finally:
            client.close()
        return status, json.loads(text) if text.startswith(b"{") else text

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
