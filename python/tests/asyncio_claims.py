"""What only the client for asyncio has to do."""
import asyncio
import gc
import threading
import unittest
import warnings

from harness import HostileServer, answering, frame, receive
from speicher_server import AsyncSpeicher, ConnectionError
from speicher_server.testing import running_server


class Tasks(unittest.TestCase):

    def setUp(self):
        # Python reports here what a task or a transport did wrong unseen.
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda loop, context: self.unseen.append(context))
        self.unseen = []
        self.addCleanup(self.loop.close)

    def tearDown(self):
        self.assertEqual(self.unseen, [])

    def run_all(self, *calls):
        async def gather():
            return await asyncio.gather(*calls, return_exceptions=True)
        return self.loop.run_until_complete(gather())

    def test_many_tasks_share_a_client(self):
        with running_server('--model', 'epoll') as server:
            client = AsyncSpeicher(server.host, server.port)
            self.run_all(*[client.set('k%d' % i, i) for i in range(200)])
            values = self.run_all(*[client.get('k%d' % i) for i in range(200)])
            self.assertEqual(values, list(range(200)))
            self.run_all(client.close())

    def test_a_client_can_be_used_from_one_event_loop_after_another(self):
        with running_server('--model', 'epoll') as server:
            client = AsyncSpeicher(server.host, server.port, timeout=5)

            async def use(value):
                await client.set('k', value)
                return await client.get('k')

            with warnings.catch_warnings():
                # Python says, rightly, that the loops end before the connections.
                warnings.simplefilter('ignore', ResourceWarning)
                self.assertEqual([asyncio.run(use(i)) for i in range(3)], [0, 1, 2])
                self.run_all(client.close())
                gc.collect()

    def test_an_empty_pipeline_needs_no_server(self):
        client = AsyncSpeicher('127.0.0.1', 1)
        self.assertEqual(self.run_all(client.pipeline().run()), [[]])

    def test_a_reply_that_nobody_asked_for_is_not_taken_for_an_answer(self):
        answered, sent = threading.Event(), threading.Event()

        def twice(peer):
            receive(peer)
            peer.sendall(frame({'status_code': 200, 'value': 'first'}))
            answered.wait(20)
            peer.sendall(frame({'status_code': 200, 'value': 'stray'}))
            sent.set()
            peer.recv(1)
        server = HostileServer(twice, answering('right'))
        client = AsyncSpeicher(server.host, server.port)

        async def call():
            first = await client.get('k')
            answered.set()
            while not sent.is_set() or not client._connection.has_stray_reply():
                await asyncio.sleep(0.01)
            with self.assertRaises(ConnectionError):
                await client.get('k')
            return first, await client.get('k')

        self.assertEqual(self.run_all(call()), [('first', 'right')])
        self.run_all(client.close())
        server.stop()

    def test_a_cancelled_call_leaves_no_late_reply(self):
        asked, cancelled = threading.Event(), threading.Event()

        def late(peer):
            receive(peer)
            asked.set()
            cancelled.wait(20)
            try:
                peer.sendall(frame({'status_code': 200, 'value': 'late'}))
            except OSError:
                pass
        server = HostileServer(late, answering('right'))
        client = AsyncSpeicher(server.host, server.port)

        async def cancel():
            call = asyncio.ensure_future(client.get('first'))
            await asyncio.get_running_loop().run_in_executor(None, asked.wait, 20)
            call.cancel()
            outcome = await asyncio.gather(call, return_exceptions=True)
            cancelled.set()
            return outcome[0], await client.get('second')
        error, value = self.loop.run_until_complete(cancel())
        self.assertIsInstance(error, asyncio.CancelledError)
        self.assertEqual(value, 'right')
        self.run_all(client.close())
        server.stop()

    def test_an_error_fails_one_call_and_not_those_that_wait(self):
        server = HostileServer(lambda peer: receive(peer), answering('right'))
        client = AsyncSpeicher(server.host, server.port)
        first, second = self.run_all(client.get('k'), client.get('k'))
        self.assertIsInstance(first, ConnectionError)
        self.assertEqual(second, 'right')
        self.run_all(client.close())
        server.stop()

    def test_a_server_that_floods_is_not_read_for_ever(self):
        sent = []

        def flood(peer):
            answering('first')(peer)
            peer.settimeout(0.3)
            try:
                for _ in range(1000):
                    peer.sendall(b'x' * 1000000)
                    sent.append(1000000)
            except OSError:
                pass
        server = HostileServer(flood)
        client = AsyncSpeicher(server.host, server.port)

        async def idle():
            await client.get('k')
            await asyncio.get_running_loop().run_in_executor(None, server.stop)
            await client.close()
        self.loop.run_until_complete(idle())
        self.assertLess(sum(sent), 50000000)

    def test_a_client_belongs_to_no_loop_before_its_first_call(self):
        with running_server() as server:
            client = AsyncSpeicher(server.host, server.port)

            async def session():
                async with client as same:
                    await same.set('k', 1)
                    return await same.get('k')
            self.assertEqual(asyncio.run(session()), 1)
