"""Servers for tests.

>>> from speicher_server.testing import running_server
>>> with running_server() as server:
...     client = server.client()
...     client.set('foo', [1, 2])
...     client.get('foo') == [1, 2]
True

With pytest, a test that has an argument ``running_server`` gets a server of
its own.
"""
import subprocess
import threading
from contextlib import contextmanager

from .binary import find_binary
from .client import Speicher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Tuple

#: How long a server may take to become ready, and to end, in seconds.
PATIENCE = 10.0


class Server(object):
    """A running server: its ``host``, ``port`` and ``process``, a ``Popen``."""

    def __init__(self, host, port, process):
        # type: (str, int, subprocess.Popen[bytes]) -> None
        self.host = host
        self.port = port
        self.process = process

    def client(self):
        # type: () -> Speicher
        """A new client of this server."""
        return Speicher(self.host, self.port)


@contextmanager
def running_server(*options):
    # type: (*str) -> Iterator[Server]
    """A server in a process of its own, until the block ends.

    Options are those of ``speicher serve``, such as ``'--model', 'epoll'``; the
    port is a free one unless ``'--port'`` is among them.
    ``RuntimeError`` says that it did not start, and ``OSError`` that there is
    no program to start.
    """
    command = [find_binary(), 'serve'] + list(options)
    if '--port' not in options:
        command += ['--port', '0']
    # On 2.7 it would inherit the caller's connections, and keep them open.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, close_fds=True)
    try:
        host, port = _address(process)
        yield Server(host, port, process)
    finally:
        if process.poll() is None:
            process.terminate()
        with _killed_if_late(process):
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _address(process):
    # type: (subprocess.Popen[bytes]) -> Tuple[str, int]
    """Where the ready line says that the server listens."""
    assert process.stdout is not None
    with _killed_if_late(process):
        line = process.stdout.readline().decode('utf-8')
    words = line.split(' ')
    if words[:2] != ['listening', 'on']:
        raise RuntimeError('The server did not become ready; what it wrote to '
                           'standard error says why.')
    host, _, port = words[2].rpartition(':')
    return str(host.strip('[]')), int(port)


@contextmanager
def _killed_if_late(process):
    # type: (subprocess.Popen[Any]) -> Iterator[None]
    """Kills the process if the block takes longer than ``PATIENCE``."""
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
