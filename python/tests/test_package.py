"""The program, what starts it, and what the package says about itself."""
import doctest
import io
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

import speicher_server
from harness import run, standard_error
from speicher_server.testing import running_server

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

sys.path.insert(1, os.path.dirname(HERE))

from platform_tag import platform_tag  # noqa: E402


def read(*path):
    with io.open(os.path.join(ROOT, *path), encoding='utf-8') as file:
        return file.read()


class Program(unittest.TestCase):

    def test_every_version_is_cargo_s(self):
        version = re.search('^version = "(.+)"$', read('Cargo.toml'), re.M).group(1)
        self.assertEqual(speicher_server.__version__, version)
        printed = run(speicher_server.find_binary(), '--version')
        self.assertEqual(printed, ('speicher {0}\n'.format(version), 0))

    def test_the_module_runs_the_program(self):
        module = [sys.executable, '-m', 'speicher_server']
        self.assertEqual(run(*module + ['--version']),
                         run(speicher_server.find_binary(), '--version'))
        self.assertEqual(run(*module + ['no-such-command'])[1], 2)

    def test_the_module_becomes_the_program(self):
        process = subprocess.Popen(
            [sys.executable, '-m', 'speicher_server', 'serve', '--port', '0'],
            stdout=subprocess.PIPE)
        self.assertTrue(process.stdout.readline().startswith(b'listening on '))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 0)
        process.stdout.close()

    def test_a_program_that_is_nowhere_is_one_sentence(self):
        folder = tempfile.mkdtemp()
        os.symlink(os.path.dirname(speicher_server.__file__),
                   os.path.join(folder, 'speicher_server'))
        # A copy beside no program, with an empty PATH.
        output, code = run(
            sys.executable, '-c',
            'import runpy; runpy.run_module("speicher_server", run_name="__main__")',
            env={'PATH': '', 'PYTHONPATH': folder, 'PYTHONDONTWRITEBYTECODE': '1'})
        self.assertEqual(code, 1)
        self.assertRegex(output, '^The program speicher is neither .* again.\n$')


class RunningServer(unittest.TestCase):

    def test_it_runs_until_the_block_ends(self):
        with running_server() as server:
            self.assertEqual(server.host, '127.0.0.1')
            with server.client() as client:
                client.set('k', 1)
                self.assertEqual(client.get('k'), 1)
            self.assertIsNone(server.process.poll())
        self.assertEqual(server.process.returncode, 0)

    def test_it_stops_when_the_block_fails(self):
        with self.assertRaises(KeyError):
            with running_server('--model', 'epoll') as server:
                raise KeyError
        self.assertEqual(server.process.returncode, 0)

    def test_it_may_be_killed_inside_the_block(self):
        with running_server() as server:
            server.process.kill()
        self.assertEqual(server.process.returncode, -signal.SIGKILL)

    def test_each_has_its_own_port(self):
        with running_server() as one, running_server() as other:
            self.assertNotEqual(one.port, other.port)

    def test_a_server_that_does_not_start_is_an_error(self):
        with standard_error() as said:
            with self.assertRaises(RuntimeError):
                with running_server('--model', 'none'):
                    self.fail('it can not run')
            self.assertIn('there is no model', said())


class Kit(unittest.TestCase):

    CALLS = ('get k', 'set k [1, "\\u00e4", 2.5]', 'get k', 'set k NaN', 'delete k',
             'delete k', 'reset', 'frobnicate')
    ANSWERS = ('absent', 'ok', 'value [1, "\\u00e4", 2.5]', 'refused', 'ok', 'absent', 'ok',
               'refused')

    def check(self, *kind):
        with running_server() as server:
            output, code = run(
                sys.executable, os.path.join(HERE, 'kit_client.py'), str(server.port), '5',
                *kind, input='\n'.join(self.CALLS) + '\n', env=dict(os.environ))
        lines = [re.sub('^refused .+', 'refused', line) for line in output.splitlines()]
        self.assertEqual((tuple(lines), code), (self.ANSWERS, 0))

    def test_the_kit_s_command_answers_each_line(self):
        self.check()

    @unittest.skipIf(sys.version_info < (3,), 'asyncio came with Python 3')
    def test_the_kit_s_command_answers_with_asyncio(self):
        self.check('async')


class Documents(unittest.TestCase):

    def test_the_session_of_the_readme_is_what_happens(self):
        sessions = re.findall('^```pycon\n(.+?)^```', read('README.md'), re.M | re.S)
        wanted = [text for text in sessions if ("u'bar'" in text) == (sys.version_info < (3,))]
        self.assertEqual((len(sessions), len(wanted)), (2, 1))
        with running_server() as server:
            text = wanted[0].replace('14567', str(server.port))
            test = doctest.DocTestParser().get_doctest(str(text), {}, 'README.md', None, 0)
            outcome = doctest.DocTestRunner().run(test)
        self.assertEqual(outcome.failed, 0)
        self.assertGreater(outcome.attempted, 8)

    def test_the_docstrings_examples_run(self):
        import speicher_server.testing as testing
        self.assertEqual(doctest.testmod(testing), (0, 2))


class PlatformTag(unittest.TestCase):
    """What the wheel says that it runs on."""

    def tag_of(self, machine, kind_of_entry, start=b'\x7fELF\x02\x01'):
        header = start.ljust(16, b'\0') + struct.pack(
            '<HHIQQQIHHHHHH', 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        entries = b''.join(struct.pack('<I', kind).ljust(56, b'\0')
                           for kind in (1, kind_of_entry))
        with tempfile.NamedTemporaryFile() as file:
            file.write(header + entries)
            file.flush()
            return platform_tag(file.name)

    def test_a_static_program_has_the_tag_of_its_machine(self):
        self.assertEqual(self.tag_of(62, 1), 'manylinux1_x86_64')
        self.assertEqual(self.tag_of(183, 1), 'manylinux2014_aarch64')

    def test_a_program_with_shared_libraries_has_none(self):
        self.assertIsNone(self.tag_of(62, 3))

    def test_unknown_machines_and_files_have_none(self):
        self.assertIsNone(self.tag_of(7, 1))
        self.assertIsNone(self.tag_of(62, 1, b'\xcf\xfa\xed\xfe'))


if sys.version_info < (3,):
    Program.assertRegex = Program.assertRegexpMatches

if __name__ == '__main__':
    unittest.main()
