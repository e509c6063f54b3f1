"""Builds the Python package: the client, and the server with cargo.

One way for Python 2.7 and 3: setuptools, which calls cargo and puts the program
beside the interpreter. cargo's own variables, such as CARGO_BUILD_TARGET and
RUSTFLAGS, say how the program is built; see `make wheel`.
"""
import json
import os
import re
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution
try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70
    from wheel.bdist_wheel import bdist_wheel

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'python'))

from platform_tag import platform_tag  # noqa: E402

NO_CARGO = ('Building speicher-server needs cargo, which comes with Rust 1.90 or newer '
            '(https://rustup.rs): install it and try again, or install a wheel, which '
            'needs none.')

#: The path of the server's program, once it is built.
PROGRAMS = []


def text_of(name):
    with open(os.path.join(HERE, name), 'rb') as file:
        return file.read().decode('utf-8')


def version():
    """Cargo.toml is where the version is written."""
    return str(re.search(r'^version = "(.+)"$', text_of('Cargo.toml'), re.M).group(1))


def build_server():
    """Builds the program; its path, from cargo's messages."""
    cargo = os.environ.get('CARGO', 'cargo')
    command = [cargo, 'build', '--release', '--locked', '--bin', 'speicher',
               '--message-format', 'json-render-diagnostics']
    try:
        process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE)
    except OSError:
        raise SystemExit(NO_CARGO)
    messages = process.communicate()[0].decode('utf-8').splitlines()
    if process.returncode != 0:
        raise SystemExit('cargo could not build the server, which needs Rust 1.90 or newer; '
                         'its words above say why.')
    programs = [json.loads(line).get('executable') for line in messages]
    return os.path.relpath([path for path in programs if path][-1], HERE)


class BuildWithServer(build_py):
    """Builds the program first: without cargo nothing else is worth doing."""

    def run(self):
        PROGRAMS[:] = [build_server()]
        build_py.run(self)


class WheelWithServer(bdist_wheel):
    """A wheel for every Python of one platform."""

    def get_tag(self):
        tags = [platform_tag(program) for program in PROGRAMS]
        here = bdist_wheel.get_tag(self)[2]
        return 'py2.py3', 'none', (tags and tags[0]) or here


class DistributionWithServer(Distribution):
    """There is a program in it, so it is not for every platform."""

    def has_ext_modules(self):
        return True


setup(
    name='speicher-server',
    version=version(),
    description='Server and client for the speicher key-value protocol',
    long_description=text_of('README.md'),
    long_description_content_type='text/markdown',
    license='MIT',
    license_files=['LICENSE'],
    python_requires='>=2.7, !=3.0.*, !=3.1.*, !=3.2.*, !=3.3.*, !=3.4.*, !=3.5.*, '
                    '!=3.6.*, !=3.7.*',
    package_dir={'': 'python'},
    packages=['speicher_server'],
    py_modules=['speicher_server_pytest'],
    package_data={'speicher_server': ['py.typed']},
    data_files=[('bin', PROGRAMS)],
    entry_points={'pytest11': ['speicher_server = speicher_server_pytest']},
    distclass=DistributionWithServer,
    cmdclass={'build_py': BuildWithServer, 'bdist_wheel': WheelWithServer},
    zip_safe=False,
    classifiers=[
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 2.7',
        'Programming Language :: Python :: 3',
        'Programming Language :: Rust',
        'Typing :: Typed',
    ],
)
