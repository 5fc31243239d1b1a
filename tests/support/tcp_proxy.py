"""Carries TCP connections to a server, and takes it away when the test wants that."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class TcpProxy:
    """A port of 127.0.0.1 that leads to a server, from ``restore`` until ``cut``."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener: socket.socket | None = None
        self._carried: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0
        self.loses_answers = False
        self.restore()

    def restore(self) -> None:
        """Take connections, at the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.loses_answers, self._listener, self.port = False, listener, listener.getsockname()[1]
        threading.Thread(target=self._listen, args=[listener], daemon=True).start()

    def cut(self) -> None:
        """End every connection and refuse new ones; may be called twice."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):  # nobody is connected to it; this wakes who accepts
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for carried in self._carried:
                with contextlib.suppress(OSError):  # the other side was faster
                    carried.shutdown(socket.SHUT_RDWR)

    def _listen(self, listener: socket.socket) -> None:
        for near in _accepted(listener):
            far = socket.create_connection(self._server)
            with self._lock:
                self._carried |= {near, far}
            for source, target, is_answer in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._carry, args=[source, target, is_answer], daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):  # one of the two sides is gone, and so is the connection
            while data := source.recv(1 << 16):
                if not (is_answer and self.loses_answers):
                    target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._carried.discard(source)
        source.close()


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):  # it was closed
        while True:
            yield listener.accept()[0]
