"""The clients under the conformance kit, which plays a hostile server."""
import os
import sys
import unittest

from harness import CLIENTS, run
from speicher_server import find_binary

KIT_CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kit_client.py')


class Kit(unittest.TestCase):

    def assert_passes(self, kind):
        folder = os.path.dirname(os.path.dirname(os.path.abspath(
            sys.modules['speicher_server'].__file__)))
        command = "'{0}' '{1}' {{port}} {{timeout}} {2}".format(
            sys.executable, KIT_CLIENT, kind)
        printed, code = run(find_binary(), 'conform', '--client', command,
                            env=dict(os.environ, PYTHONPATH=folder))
        self.assertEqual(code, 0, printed)
        self.assertNotIn('differs', printed)

    def test_the_blocking_client_passes_every_case(self):
        self.assert_passes('')

    @unittest.skipUnless('Awaited' in CLIENTS, 'asyncio needs Python 3')
    def test_the_client_for_asyncio_passes_every_case(self):
        self.assert_passes('async')
