"""How long a server may take, and how much it may send."""
import struct
import threading
import time

from harness import (
    PATIENCE, ClientCase, answering, every_client, frame, receive, unittest)
from speicher_server import Connection, ConnectionError

REPLY_MAX_DEFAULT = 64 << 20


@every_client
class Limits(ClientCase):

    def setUp(self):
        self.over = threading.Event()

    def serve(self, *connections):
        server = self.hostile(*connections)
        # It is waited for after that.
        self.addCleanup(self.over.set)
        return server

    def slow(self, pieces, pause):
        """A connection that answers with the pieces, and pauses after each."""
        def connection(peer):
            receive(peer)
            for piece in pieces:
                try:
                    peer.sendall(piece)
                except EnvironmentError:
                    return  # The client has given up.
                if self.over.wait(pause):
                    return
            self.over.wait(PATIENCE)
        return connection

    def test_a_server_that_is_never_silent_has_a_deadline_too(self):
        # All of it would take ten seconds.
        reply = frame({'status_code': 200, 'value': 'x' * 470})
        pieces = [reply[i:i + 1] for i in range(len(reply))]
        server = self.serve(self.slow(pieces, 0.02))
        client = self.connect(server, timeout=0.3)
        begun = time.time()
        with self.assertRaises(ConnectionError) as caught:
            client.get('k')
        self.assertLess(time.time() - begun, 3)
        self.assertIn('0.3 s', str(caught.exception))

    def test_a_server_that_takes_a_request_byte_by_byte_has_a_deadline_too(self):
        def taking_bytes(peer):
            while not self.over.wait(0.02) and peer.recv(1):
                pass
        server = self.serve(taking_bytes)
        client = self.connect(server, timeout=0.3)
        begun = time.time()
        # Longer than what the systems hold, which counts as taken.
        self.assertRaises(ConnectionError, client.set, 'k', 'x' * 40000000)
        self.assertLess(time.time() - begun, 12)

    def test_a_pipeline_that_gets_on_may_take_longer_than_a_call(self):
        server = self.serve(self.slow([frame({'status_code': 200})] * 4, 0.4))
        client = self.connect(server, timeout=1)
        begun = time.time()
        pipeline = client.pipeline()
        for _ in range(4):
            pipeline.set('k', 1)
        self.assertEqual(pipeline.run(), [None] * 4)
        self.assertGreater(time.time() - begun, 1)

    def check_limit(self, length, **options):
        # Nothing more comes: what is announced decides.
        server = self.serve(self.slow([struct.pack('!i', length)], 0), answering('right'))
        client = self.connect(server, **options)
        with self.assertRaises(ConnectionError) as caught:
            client.get('k')
        for words in (str(length), str(length - 1), 'reply_max'):
            self.assertIn(words, str(caught.exception))
        # The connection was closed, and the next call makes another.
        self.over.set()
        self.assertEqual(client.get('k'), 'right')

    def test_a_reply_over_the_limit_is_not_read(self):
        self.check_limit(REPLY_MAX_DEFAULT + 1)

    def test_the_limit_of_a_reply_is_the_caller_s(self):
        self.check_limit(1001, reply_max=1000)

    def test_a_reply_at_the_limit_is_read(self):
        reply = frame({'status_code': 200, 'value': 'x' * 1000})
        server = self.serve(self.slow([reply], 0))
        client = self.connect(server, reply_max=len(reply) - 4)
        self.assertEqual(client.get('k'), u'x' * 1000)


class Connections(ClientCase):

    def test_the_time_between_sending_and_reading_is_the_caller_s(self):
        sent = threading.Event()

        def answering_at_once(peer):
            receive(peer)
            peer.sendall(frame({'n': 1}))
            sent.set()
        server = self.hostile(answering_at_once)
        connection = Connection(server.host, server.port, timeout=0.2)
        connection.send({})
        sent.wait(PATIENCE)
        # Nobody waits for the server meanwhile.
        self.assertFalse(threading.Event().wait(0.3))
        self.assertEqual(connection.read(), {'n': 1})
        connection.disconnect()


if __name__ == '__main__':
    unittest.main()
