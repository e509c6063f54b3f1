"""What the clients make of servers that break off, lie or say nothing."""
import gc
import os
import pickle
import signal
import socket
import struct
import threading
import time

from harness import (
    ClientCase, HostileServer, answering, every_client, every_client_and_model, frame, receive,
    replying, unittest)
from speicher_server import (
    ClientError, Connection, ConnectionError, MalformedReply, ServerError, Speicher)
from speicher_server.testing import running_server

BUSY = frame({'status_code': 503, 'error': u'try \xe4gain'})


def refusing(peer):
    """A connection that is refused as a full server refuses it (S4)."""
    peer.sendall(BUSY)
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(4096):
        pass


@every_client
class Hostile(ClientCase):

    def check_error(self, kind, connection, timeout=20):
        """The connection raises the error, and the next call makes another."""
        server = self.hostile(connection, answering('right'))
        client = self.connect(server, timeout=timeout)
        with self.assertRaises(kind) as caught:
            client.get('k')
        self.assertEqual(client.get('k'), 'right')
        self.assertEqual(server.accepted, 2)
        return caught.exception

    def test_a_split_header_is_put_together(self):
        whole = frame({'status_code': 200, 'value': 'right'})

        def in_pieces(peer):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            receive(peer)
            for i in range(len(whole)):
                peer.sendall(whole[i:i + 1])
        self.assertEqual(self.connect(self.hostile(in_pieces)).get('k'), 'right')

    def test_a_server_that_takes_a_long_request_slowly_is_not_silent(self):
        def taking_its_time(peer):
            left = 4 + struct.unpack('!i', peer.recv(4, socket.MSG_PEEK))[0]
            while left:
                taken = len(peer.recv(min(left, 1 << 20)))
                left -= taken
                time.sleep(taken / 20e6)
            peer.sendall(frame({'status_code': 200}))
        # All of it takes two seconds, and what the systems hold half of one.
        client = self.connect(self.hostile(taking_its_time), timeout=1)
        client.set('k', 'x' * 40000000)

    def test_a_truncated_frame(self):
        whole = frame({'status_code': 200, 'value': 'wrong'})
        for end in (0, 3, 4, len(whole) - 1):
            self.check_error(ConnectionError, replying(whole[:end]))

    def test_a_length_that_is_not_positive(self):
        for length in (0, -1, -2 ** 31):
            error = self.check_error(ConnectionError, replying(struct.pack('!i', length)))
            self.assertIn(str(length), str(error))

    def test_a_length_that_is_announced_takes_no_memory(self):
        self.check_error(ConnectionError, replying(struct.pack('!i', 2 ** 31 - 1) + b'{'))

    def test_a_status_that_there_is_not(self):
        for status in (100, 0, 201, 302, 600, -200, '200', None, True, [200]):
            self.check_error(MalformedReply, replying(frame({'status_code': status})))

    def test_a_reply_that_is_none(self):
        for payload in (b'{}', b'null', b'[200]', b'"x"', b'{', b'\xff', b'{"status_code":NaN}',
                        b'{"status_code":200}', b'{"status_code":200,"value":NaN}',
                        b'{"status_code":200,"value":1} x', b'[' * 100000):
            self.check_error(MalformedReply, replying(frame(payload)))

    def test_white_space_around_a_reply_is_json(self):
        reply = replying(frame(b' {"status_code":200,"value":1} \n'))
        self.assertEqual(self.connect(self.hostile(reply)).get('k'), 1)

    def test_silence(self):
        over = threading.Event()

        def silent(peer):
            receive(peer)
            over.wait(20)
        server = self.hostile(silent, answering('right'))
        client = self.connect(server, timeout=0.1)
        with self.assertRaises(ConnectionError) as caught:
            client.get('k')
        self.assertIn('0.1 s', str(caught.exception))
        over.set()
        self.assertEqual(client.get('k'), 'right')

    def test_a_late_reply_is_not_taken_for_the_next_one(self):
        gave_up = threading.Event()

        def late(peer):
            receive(peer)
            gave_up.wait(20)
            try:
                peer.sendall(frame({'status_code': 200, 'value': 'late'}))
            except EnvironmentError:
                pass
        server = self.hostile(late, answering('right'))
        client = self.connect(server, timeout=0.1)
        self.assertRaises(ConnectionError, client.get, 'first')
        gave_up.set()
        self.assertEqual(client.get('second'), 'right')

    def test_a_second_reply_is_not_taken_for_the_next_one(self):
        reply = frame({'status_code': 200, 'value': 'first'})
        server = self.hostile(replying(reply + reply), answering('right'))
        client = self.connect(server)
        self.assertEqual(client.get('k'), 'first')
        self.assertEqual(client.get('k'), 'right')

    def test_503_of_a_server_that_closes_is_told(self):
        error = self.check_error(ServerError, refusing)
        self.assertEqual(error.status_code, 503)
        self.assertIn('gain', str(error))

    def test_after_400_and_503_the_next_call_connects_again(self):
        # A connection that is kept may be one that the server is closing.
        for status, kind in ((400, ClientError), (499, ClientError),
                             (500, ServerError), (503, ServerError)):
            error = self.check_error(kind, replying(frame({'status_code': status})))
            self.assertEqual(error.status_code, status)

    def test_404_leaves_the_connection_open(self):
        absent = frame({'status_code': 404})
        server = self.hostile(replying(absent, absent, frame({'status_code': 200})))
        client = self.connect(server)
        self.assertIsNone(client.get('k'))
        self.assertIs(client.delete('k'), False)
        self.assertIs(client.delete('k'), True)

    def test_404_is_no_answer_to_set_and_reset(self):
        for call in (lambda client: client.set('k', 1), lambda client: client.reset()):
            client = self.connect(self.hostile(replying(frame({'status_code': 404}))))
            with self.assertRaises(ClientError) as caught:
                call(client)
            self.assertEqual(caught.exception.status_code, 404)

    def test_a_server_that_closes_while_idle_is_one_error(self):
        closed = threading.Event()

        def closing(peer):
            answering('first')(peer)
            peer.close()
            closed.set()
        server = self.hostile(closing, answering('right'))
        client = self.connect(server)
        self.assertEqual(client.get('k'), 'first')
        closed.wait(20)
        self.assertRaises(ConnectionError, client.get, 'k')
        self.assertEqual(client.get('k'), 'right')

    def test_nothing_is_sent_twice(self):
        seen = []

        def closing(peer):
            seen.append(receive(peer))
        server = self.hostile(closing)
        client = self.connect(server)
        self.assertRaises(ConnectionError, client.set, 'k', 1)
        server.stop()
        self.assertEqual(seen, [{'command': 'SET', 'key': 'k', 'value': 1}])

    def test_nobody_listens(self):
        server = self.hostile()
        server.stop()
        with self.assertRaises(ConnectionError) as caught:
            self.connect(server).get('k')
        self.assertIn(str(server.port), str(caught.exception))

    def test_a_host_that_there_is_not(self):
        for host in ('no.such.host.invalid', 'a' * 100):
            client = self.client_class(host, 1)
            self.assertRaises(ConnectionError, client.get, 'k')
            getattr(client, 'dispose', client.close)()

    def test_a_pipeline_that_breaks_off_tells_what_was_answered(self):
        ok = frame({'status_code': 200})
        server = self.hostile(replying(ok, ok), answering('right'))
        client = self.connect(server)
        with self.assertRaises(ConnectionError) as caught:
            client.pipeline().set('a', 1).delete('a').get('a').run()
        self.assertEqual(caught.exception.results, [None, True])
        self.assertEqual(client.get('k'), 'right')

    def test_a_pipeline_tells_the_reason_of_a_server_that_closes(self):
        server = self.hostile(replying(BUSY), answering('right'))
        client = self.connect(server)
        with self.assertRaises(ServerError) as caught:
            client.pipeline().set('a', 1).get('a').run()
        self.assertEqual(len(caught.exception.results), 1)
        self.assertEqual(client.get('k'), 'right')

    def test_a_malformed_reply_ends_a_pipeline_s_connection(self):
        server = self.hostile(replying(frame({'status_code': 100})), answering('right'))
        client = self.connect(server)
        self.assertRaises(MalformedReply, client.pipeline().get('a').run)
        self.assertEqual(client.get('k'), 'right')


@every_client_and_model
class Faults(ClientCase):

    def test_kill_in_the_middle_of_a_call(self):
        # An address of its own, so that nobody takes the port meanwhile.
        pid = os.getpid()
        options = ['--model', self.model, '--host', '127.{0}.{1}.{2}'.format(
            pid >> 16 & 255, pid >> 8 & 255, pid & 255 or 1)]
        server = self.start(*options)
        client = self.connect(server)
        client.set('k', 1)
        # Stopped, it can't answer; it is killed while the call waits.
        server.process.send_signal(signal.SIGSTOP)
        os.waitpid(server.process.pid, os.WUNTRACED)
        killer = threading.Timer(0.1, server.process.kill)
        killer.start()
        self.assertRaises(ConnectionError, client.get, 'k')
        server.process.wait()
        self.start('--port', str(server.port), *options)
        self.assertIsNone(client.get('k'))

    def test_a_full_server_says_503_and_serves_when_there_is_room(self):
        room = '--workers' if self.model == 'threads' else '--connections-max'
        server = self.start('--model', self.model, room, '1', '--queue-timeout', '50ms')
        first, second = self.connect(server), self.connect(server)
        first.set('k', 1)
        for _ in range(3):
            with self.assertRaises(ServerError) as caught:
                second.get('k')
            self.assertEqual(caught.exception.status_code, 503)
        first.close()
        while True:
            try:
                self.assertEqual(second.get('k'), 1)
                break
            except ServerError:  # The server has not seen yet that there is room.
                pass

    def test_a_frame_over_the_limit_is_400(self):
        server = self.start('--model', self.model, '--frame-max', '1000')
        client = self.connect(server)
        for length in (1000, 300000, 20000000):
            with self.assertRaises(ClientError) as caught:
                client.set('k', 'v' * length)
            self.assertIn('1000', str(caught.exception))
            self.assertIsNone(client.get('k'))


class Signals(ClientCase):
    """The blocking client and the handlers of signals."""

    client_class = Speicher

    def alarm(self, handler):
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, handler))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    def test_a_call_that_is_interrupted_leaves_no_late_reply(self):
        interrupted = threading.Event()

        def late(peer):
            receive(peer)
            interrupted.wait(20)
            try:
                peer.sendall(frame({'status_code': 200, 'value': 'late'}))
            except EnvironmentError:
                pass

        def interrupt(number, stack):
            interrupted.set()
            raise KeyboardInterrupt
        server = self.hostile(late, answering('right'))
        client = self.connect(server)
        self.alarm(interrupt)
        self.assertRaises(KeyboardInterrupt, client.get, 'first')
        self.assertEqual(client.get('second'), 'right')

    def test_a_handler_that_returns_is_not_noticed(self):
        handled = threading.Event()

        def after_the_signal(peer):
            receive(peer)
            handled.wait(20)
            peer.sendall(frame({'status_code': 200, 'value': 'right'}))
        client = self.connect(self.hostile(after_the_signal))
        self.alarm(lambda number, stack: handled.set())
        self.assertEqual(client.get('k'), 'right')


class Connections(ClientCase):
    """The blocking client's connection, which others subclass."""

    def test_last_words_are_told_when_writing_fails(self):
        connected = threading.Event()

        def reset(peer):
            connected.wait(20)
            peer.sendall(BUSY)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        server = self.hostile(reset)
        client = Speicher(server.host, server.port)
        client._conn.connect()
        connected.set()
        server.stop()
        self.assertRaises(ServerError, client.get, 'k')

    def test_reading_without_a_connection_is_an_error(self):
        self.assertRaises(ConnectionError, Connection().read)

    def test_replies_come_in_the_order_of_the_requests(self):
        one, two = frame({'n': 1}), frame({'n': 2})
        server = self.hostile(replying(b'', one + two))
        connection = Connection(server.host, server.port)
        connection.send({'a': 1})
        connection.send({'a': 2})
        self.assertEqual([connection.read(), connection.read()], [{'n': 1}, {'n': 2}])

    def test_a_subclass_may_send_other_objects(self):
        class Upper(Connection):
            @staticmethod
            def _encode_packet(data):
                return data.encode('ascii')

            @staticmethod
            def _decode_packet(msg):
                return msg.decode('ascii').upper()
        server = self.hostile(replying(frame(b'"answer"')))
        connection = Upper(server.host, server.port)
        connection.send('"question"')
        self.assertEqual(connection.read(), '"ANSWER"')

    def test_a_subclass_may_watch_every_command(self):
        class Watching(Speicher):
            commands = ()

            def _execute(self, command, **kwargs):
                self.commands += (command,)
                return super(Watching, self)._execute(command, **kwargs)
        with running_server() as server:
            client = Watching(server.host, server.port)
            client.set('k', 1)
            client.get('k')
            client.delete('k')
            client.reset()
            self.assertEqual(client.commands, ('SET', 'GET', 'DEL', 'RST'))

    def test_ipv6(self):
        try:
            probe = socket.socket(socket.AF_INET6)
            probe.bind(('::1', 0))
            probe.close()
        except socket.error as error:
            self.skipTest('this machine has no IPv6: {0}'.format(error))
        with running_server('--host', '::1') as server:
            self.assertEqual(server.host, '::1')
            with server.client() as client:
                client.set('k', 1)
                self.assertEqual(client.get('k'), 1)

    @unittest.skipUnless(os.path.isdir('/proc/self/fd'), 'this system has no /proc')
    def test_connections_are_not_leaked(self):
        server = HostileServer(*[answering(1)] * 100)
        gc.collect()
        before = len(os.listdir('/proc/self/fd'))
        client = Speicher(server.host, server.port)
        for _ in range(50):
            self.assertEqual(client.get('k'), 1)
            with self.assertRaises(ConnectionError):
                client.get('k')
        for _ in range(50):
            self.assertEqual(Speicher(server.host, server.port).get('k'), 1)
        client.close()
        server.stop()
        gc.collect()
        # The listener was open before.
        self.assertLess(len(os.listdir('/proc/self/fd')), before)
        self.assertEqual(gc.garbage, [])


class Errors(unittest.TestCase):

    def test_a_connection_error_is_what_python_calls_so(self):
        error = ConnectionError('sentence', reply={})
        self.assertIsInstance(error, EnvironmentError)
        self.assertEqual(str(error), 'sentence')
        self.assertIsNone(error.errno)

    def test_errors_survive_pickling(self):
        for error in (ClientError('s', status_code=400), ConnectionError('s', reply=None)):
            copy = pickle.loads(pickle.dumps(error))
            self.assertEqual((str(copy), vars(copy)), (str(error), vars(error)))


if __name__ == '__main__':
    unittest.main()
