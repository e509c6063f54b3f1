"""Servers, true and hostile ones, and both clients behind one set of methods."""
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from speicher_server import Speicher
from speicher_server.testing import running_server

#: Where the servers of each claim's class have their entries, if not in memory. A test of tests/it
#: starts a cluster and says so.
STORE = os.environ.get('SPEICHER_TEST_STORE')

MODELS = ('tokio',) if STORE else ('threads', 'tokio', 'epoll')

#: How long anything may take before a test gives up on it, in seconds.
PATIENCE = 20.0


class Awaited(object):
    """An AsyncSpeicher whose methods are run to their end."""

    def __init__(self, *args, **kwargs):
        import asyncio
        from speicher_server import AsyncSpeicher
        self.loop = asyncio.new_event_loop()
        self.wrapped = AsyncSpeicher(*args, **kwargs)

    def __getattr__(self, name):
        def call(*args, **kwargs):
            result = getattr(self.wrapped, name)(*args, **kwargs)
            if hasattr(result, 'send'):
                return self.loop.run_until_complete(result)
            pipeline = Awaited.__new__(Awaited)
            pipeline.loop, pipeline.wrapped = self.loop, result
            return pipeline
        return call

    def dispose(self):
        self.close()
        self.loop.close()


CLIENTS = {'Blocking': Speicher}
if sys.version_info >= (3,):
    CLIENTS['Awaited'] = Awaited


def every_client(claims):
    """Turns a class of claims into one for each client."""
    for name, client in CLIENTS.items():
        _add(claims, name, {'client_class': staticmethod(client)})


def every_client_and_model(claims):
    """Turns a class of claims into one for each client and model."""
    for name, client in CLIENTS.items():
        for model in MODELS:
            _add(claims, name + model.capitalize(),
                 {'client_class': staticmethod(client), 'model': model})


def _add(claims, suffix, members):
    name = claims.__name__ + suffix
    module = sys.modules[claims.__module__]
    setattr(module, name, type(name, (claims,), dict(members, __module__=module.__name__)))


class ClientCase(unittest.TestCase):
    """Tests of ``client_class``."""

    def connect(self, server, **kwargs):
        kwargs.setdefault('timeout', PATIENCE)
        client = self.client_class(server.host, server.port, **kwargs)
        self.addCleanup(getattr(client, 'dispose', None) or client.close)
        return client

    def start(self, *options):
        """A server until the end of the test."""
        server = running_server(*options)
        self.addCleanup(server.__exit__, None, None, None)
        return server.__enter__()

    def hostile(self, *connections):
        server = HostileServer(*connections)
        self.addCleanup(server.stop)
        return server


class ServerCase(ClientCase):
    """Tests of a client with a server of one model."""

    @classmethod
    def setUpClass(cls):
        room = ['--workers', '8'] if cls.model == 'threads' else []
        store = ['--store', STORE] if STORE else []
        cls.running = running_server('--model', cls.model, *(room + store))
        cls.server = cls.running.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.running.__exit__(None, None, None)

    def setUp(self):
        self.client = self.connect(self.server)
        self.client.reset()


class HostileServer(object):
    """Hands each connection to the next of the functions, and closes it then."""

    def __init__(self, *connections):
        self.accepted = 0
        self._connections = connections
        self._listener = socket.socket()
        self._listener.bind(('127.0.0.1', 0))
        self._listener.listen(8)
        self.host, self.port = self._listener.getsockname()
        self._thread = threading.Thread(target=self._run)
        self._thread.daemon = True
        self._thread.start()

    def _run(self):
        for connection in self._connections:
            peer, _ = self._listener.accept()
            self.accepted += 1
            with contextlib.closing(peer):
                peer.settimeout(PATIENCE)
                connection(peer)
        self._listener.close()

    def stop(self):
        """Waits until every function has had its connection and ended."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), 'a connection did not come or not end'


def frame(reply):
    payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode('utf-8')
    return struct.pack('!i', len(payload)) + payload


def receive(peer):
    """The next request, or ``None`` at the end."""
    header = _exactly(peer, 4)
    return header and json.loads(_exactly(peer, struct.unpack('!i', header)[0]).decode('utf-8'))


def _exactly(peer, count):
    received = b''
    while len(received) < count:
        chunk = peer.recv(count - len(received))
        if not chunk:
            return None
        received += chunk
    return received


def replying(*replies):
    """A connection that answers one request with each of the byte strings."""
    def connection(peer):
        for reply in replies:
            receive(peer)
            peer.sendall(reply)
    return connection


def answering(value):
    """A connection that answers one GET."""
    return replying(frame({'status_code': 200, 'value': value}))


def run(*command, **options):
    """What the command printed, its errors too, and its exit code."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=options.get('env'))
    output, _ = process.communicate(options.get('input', '').encode('utf-8'))
    return output.decode('utf-8'), process.returncode


@contextlib.contextmanager
def standard_error():
    """What is written to standard error in the block, by programs too."""
    with tempfile.TemporaryFile() as file:
        def said():
            file.seek(0)
            return file.read().decode('utf-8')

        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
