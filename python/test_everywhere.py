"""Tests the wheel in dist/ on every Python that this machine has.

    python3 python/test_everywhere.py

Each interpreter gets a fresh virtualenv with the wheel in it, and nothing of
the source but the tests. Needs the package registry for virtualenv (2.7 has
none of its own), pytest and mypy.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

PYTHON = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(PYTHON)
TESTS = os.path.join(PYTHON, 'tests')
VERSIONS = ('2.7', '3.8', '3.9', '3.10', '3.11', '3.12', '3.13')

#: How long one step may take, in seconds.
PATIENCE = 300

#: The last virtualenv that makes environments for 2.7.
VIRTUALENV = 'virtualenv<20.22'

#: What is not of the interpreter that runs this, nor of the source tree.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.startswith('PYTHON') and name != 'VIRTUAL_ENV'}
ENVIRONMENT['PYTHONDONTWRITEBYTECODE'] = '1'


class Failed(Exception):
    """A step failed; holds what it printed."""


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failed('{}\n{}'.format(' '.join(command), done.stdout))
    return done.stdout


def find(version):
    """The path of the interpreter, on PATH or pyenv's, or None."""
    name = 'python' + version
    paths = [os.path.join(folder, name) for folder in os.get_exec_path()]
    for root in pyenv_roots():
        # The newest last release of each version comes first.
        installed = glob.glob(os.path.join(glob.escape(root), 'versions', version + '.*'))
        installed.sort(key=lambda path: [int(part) if part.isdigit() else 0 for part
                                         in os.path.basename(path).split('.')])
        paths += [os.path.join(path, 'bin', 'python') for path in reversed(installed)]
    for path in filter(os.path.exists, paths):
        # pyenv puts names on PATH that run nothing.
        try:
            said = run(path, '-c', 'import sys; print("%d.%d" % sys.version_info[:2])')
        except Failed:
            continue
        if said.strip() == version:
            return path
    return None


def pyenv_roots():
    try:
        yield run('pyenv', 'root').strip()
    except (OSError, Failed):
        pass
    yield os.environ.get('PYENV_ROOT') or os.path.expanduser('~/.pyenv')


class Environments:
    """Fresh virtualenvs in one folder."""

    def __init__(self, folder, wheel):
        self._folder = folder
        self._wheel = wheel

    def make(self, version, interpreter):
        """An environment with the wheel; the path of its python."""
        folder = os.path.join(self._folder, version)
        if version == '2.7':
            run(self._tool(VIRTUALENV), '-m', 'virtualenv', '--python', interpreter, folder)
        else:
            run(interpreter, '-m', 'venv', folder)
        python = os.path.join(folder, 'bin', 'python')
        self.install(python, '--no-index', self._wheel)
        return python

    def _tool(self, package):
        folder = os.path.join(self._folder, 'tools')
        run(sys.executable, '-m', 'venv', folder)
        python = os.path.join(folder, 'bin', 'python')
        self.install(python, package)
        return python

    @staticmethod
    def install(python, *packages):
        run(python, '-m', 'pip', 'install', '--quiet', *packages)


def test(environments, version, interpreter):
    """Runs the tests; what there is to say about them."""
    python = environments.make(version, interpreter)
    # Elsewhere, so that the package can't be that of the source tree.
    output = run(python, '-m', 'unittest', 'discover', '--start-directory', TESTS,
                 '--top-level-directory', TESTS, cwd=os.path.dirname(python))
    said = [next(line for line in output.splitlines() if line.startswith('Ran '))]
    if version in ('2.7', VERSIONS[-1]):
        environments.install(python, 'pytest')
        run(python, '-m', 'pytest', '--quiet', '-p', 'no:cacheprovider',
            os.path.join(TESTS, 'with_pytest.py'), cwd=os.path.dirname(python))
        said.append('pytest finds the fixture')
    if version == VERSIONS[-1]:
        environments.install(python, 'mypy')
        mypy = (python, '-m', 'mypy', '--strict', '--cache-dir', os.devnull)
        run(*mypy, os.path.join(PYTHON, 'speicher_server'), cwd=PYTHON)
        run(*mypy, os.path.join(TESTS, 'with_mypy.py'), cwd=os.path.dirname(python))
        said.append('mypy agrees')
    return ', '.join(said)


def check_wheel(path):
    """Stops unless the wheel has what it has to have, and no more than 5 MB."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
    for end in ('LICENSE', '.data/data/bin/speicher', 'speicher_server/py.typed'):
        if not any(name.endswith(end) for name in names):
            sys.exit('The wheel has no {}.'.format(end))
    if os.path.getsize(path) > 5000000:
        sys.exit('The wheel has {} bytes.'.format(os.path.getsize(path)))


def check_source_without_cargo():
    """Stops unless a source install without cargo says what is missing."""
    environment = dict(ENVIRONMENT, CARGO=os.path.join(os.devnull, 'cargo'))
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            (sys.executable, '-m', 'pip', 'install', '--target', folder, ROOT),
            env=environment, timeout=PATIENCE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0 or 'needs cargo, which comes with Rust' not in done.stdout:
        sys.exit('A source install without cargo printed:\n' + done.stdout)


def main():
    wheels = glob.glob(os.path.join(glob.escape(ROOT), 'dist', 'speicher_server-*.whl'))
    if len(wheels) != 1:
        sys.exit('There has to be one wheel in dist/; `make wheel` builds it.')
    check_wheel(wheels[0])
    check_source_without_cargo()
    found = {version: find(version) for version in VERSIONS}
    folder = tempfile.mkdtemp(prefix='speicher-python-')
    failed = 0
    try:
        environments = Environments(folder, wheels[0])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            tests = {version: pool.submit(test, environments, version, path)
                     for version, path in found.items() if path}
            for version, path in found.items():
                if not path:
                    print('Python {}: not found, not tested'.format(version))
                    continue
                try:
                    print('Python {}: {} ({})'.format(version, tests[version].result(), path))
                except (Failed, OSError, subprocess.TimeoutExpired) as error:
                    failed += 1
                    print('Python {}: FAILED ({})\n{}'.format(version, path, error))
                sys.stdout.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    passed = len(tests) - failed
    print('{} passed, {} failed'.format(passed, failed))
    sys.exit(0 if passed and not failed else 1)


if __name__ == '__main__':
    main()
