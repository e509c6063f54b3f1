# coding: utf-8
"""What the clients do with a server, in each model."""
import threading

from harness import ServerCase, every_client_and_model, unittest
from speicher_server import ClientError, Speicher


@every_client_and_model
class Client(ServerCase):

    def test_it_sets_gets_deletes_and_resets(self):
        self.assertIsNone(self.client.get('foo'))
        self.assertIsNone(self.client.set('foo', 'bar'))
        self.assertEqual(self.client.get('foo'), 'bar')
        self.assertIs(self.client.delete('foo'), True)
        self.assertIs(self.client.delete('foo'), False)
        self.client.set('foo', 1)
        self.assertIs(self.client.reset(), True)
        self.assertIsNone(self.client.get('foo'))

    def test_every_json_value_comes_back(self):
        for value in (True, False, 0, -1, 10 ** 30, 1.5, 1e300, u'', u'\xe4\u20ac\U0001f600',
                      u'\ud800', [], {}, [None, [1]], {u'a': {u'b': None}}, u'v' * 3000000):
            self.client.set('k', value)
            back = self.client.get('k')
            self.assertEqual(back, value)
            self.assertIs(type(back), type(value))

    def test_none_deletes(self):
        self.client.set('k', 1)
        self.assertIsNone(self.client.set('k', None))
        self.assertIs(self.client.delete('k'), False)
        self.assertIsNone(self.client.set('k', None))

    def test_keys_are_text_or_utf_8(self):
        for key in (u'a', u'\xe4', u'\u20ac', u'\U0001f600', u'a"\\\n\x00'):
            self.client.set(key, key)
            self.assertEqual(self.client.get(key.encode('utf-8')), key)

    def test_what_can_not_be_a_key_is_refused(self):
        for key in ('', b'', b'\xff', u'\ud800', u'a\udc00'):
            self.assertRaises(ValueError, self.client.get, key)
            self.assertRaises(ValueError, self.client.set, key, 1)
        for key in (None, 1, object(), ['k'], bytearray(b'k')):
            self.assertRaises(TypeError, self.client.get, key)
            self.assertRaises(TypeError, self.client.delete, key)

    def test_what_can_not_be_json_is_refused_before_it_is_sent(self):
        self.client.set('k', 1)
        deep = []
        for _ in range(100000):
            deep = [deep]
        circle = []
        circle.append(circle)
        for value in (float('nan'), float('inf'), [-float('inf')], deep, circle):
            self.assertRaises(ValueError, self.client.set, 'k', value)
        self.assertRaises(TypeError, self.client.set, 'k', object())
        self.assertEqual(self.client.get('k'), 1)
        while deep:  # Taken down by hand: the interpreter would recurse.
            deep = deep.pop()

    def test_the_server_s_reason_is_told(self):
        with self.assertRaises(ClientError) as caught:
            self.client._execute('GET')
        self.assertEqual(caught.exception.status_code, 400)
        self.assertIn('"key"', str(caught.exception))
        self.assertIs(self.client.reset(), True)

    def test_execute_returns_the_reply_and_raises_404(self):
        self.assertEqual(self.client._execute(b'RST'), {'status_code': 200})
        with self.assertRaises(ClientError) as caught:
            self.client._execute(b'GET', key=b'k')
        self.assertEqual(caught.exception.status_code, 404)

    def test_after_close_the_next_call_connects(self):
        self.client.set('k', 1)
        self.client.close()
        self.client.close()
        self.assertEqual(self.client.get('k'), 1)


@every_client_and_model
class Pipelines(ServerCase):

    def test_each_request_has_its_result(self):
        pipeline = self.client.pipeline()
        pipeline.set('a', [1]).get('a').set('a', None).set('a', None)
        pipeline.get('a').delete('a').set(b'b', 2).delete('b').reset()
        self.assertEqual(
            pipeline.run(), [None, [1], None, None, None, False, None, True, True])
        self.assertEqual(pipeline.run(), [])

    def test_none_of_any_size_locks_up(self):
        pipeline = self.client.pipeline()
        long_value = u'v' * 3000000
        for i in range(10):
            pipeline.set('long', long_value).get('long').set('short', i).get('absent')
        for i in range(3000):
            pipeline.set('k', i).get('k')
        results = pipeline.run()
        self.assertEqual(results[:4], [None, long_value, None, None])
        self.assertEqual(results[41::2], list(range(3000)))

    def test_what_is_refused_before_it_is_sent_is_not_added(self):
        pipeline = self.client.pipeline().set('a', 1)
        self.assertRaises(ValueError, pipeline.set, 'b', float('nan'))
        self.assertRaises(ValueError, pipeline.get, '')
        self.assertRaises(TypeError, pipeline.delete, 1)
        self.assertEqual(pipeline.get('a').run(), [None, 1])

    def test_an_error_tells_what_became_of_the_others(self):
        deep = []
        for _ in range(600):
            deep = [deep]
        pipeline = self.client.pipeline().set('a', 1).set('a', deep).get('a')
        with self.assertRaises(ClientError) as caught:
            pipeline.run()
        self.assertEqual(caught.exception.results, [None, caught.exception, 1])
        self.assertEqual(self.client.get('a'), 1)


@every_client_and_model
class Hosts(ServerCase):

    def test_a_host_is_text_or_bytes(self):
        self.client.set('k', 1)
        for host in (u'127.0.0.1', b'127.0.0.1', 'localhost'):
            client = self.client_class(host, self.server.port)
            self.assertEqual(client.get('k'), 1)
            getattr(client, 'dispose', client.close)()


class Threads(unittest.TestCase):

    def test_clients_of_their_own_keep_threads_apart(self):
        from speicher_server.testing import running_server
        with running_server('--model', 'epoll') as server:
            wrong = []

            def work(name):
                with Speicher(server.host, server.port) as client:
                    for i in range(300):
                        client.set(name, [name, i])
                        if client.get(name) != [name, i]:
                            wrong.append((name, i))
            threads = [threading.Thread(target=work, args=('t%d' % i,)) for i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])


if __name__ == '__main__':
    unittest.main()
