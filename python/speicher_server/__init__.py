"""Client and server of the speicher key-value protocol.

:class:`Speicher` is the client, for Python 2.7 and 3, and on 3
:class:`AsyncSpeicher` is the same for asyncio. The package brings the server
too: ``python -m speicher_server serve`` runs it, :func:`find_binary` tells
where it is, and :func:`speicher_server.testing.running_server` starts one for
a test.

>>> import speicher_server
>>> client = speicher_server.Speicher('localhost', 14567)  # doctest: +SKIP
"""
import sys

from . import exceptions
from .binary import find_binary
from .client import Speicher
from .connection import Connection
from .exceptions import (
    ClientError, ConnectionError, MalformedReply, ServerError, SpeicherError)
from .pipeline import Pipeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .aio import AsyncPipeline, AsyncSpeicher

__version__ = '0.1.0'

__all__ = [
    'ClientError', 'Connection', 'ConnectionError', 'MalformedReply',
    'Pipeline', 'ServerError', 'Speicher', 'SpeicherError', 'exceptions',
    'find_binary']

if sys.version_info >= (3,):
    # Written out, because mypy reads it.
    __all__ += ['AsyncPipeline', 'AsyncSpeicher']

    # Behind mypy's back, which would take any name for one of the package.
    if not TYPE_CHECKING:
        def __getattr__(name):
            """Imports the asyncio client when somebody asks for it."""
            if name not in ('AsyncPipeline', 'AsyncSpeicher'):
                raise AttributeError('module {0!r} has no attribute {1!r}'
                                     .format(__name__, name))
            from . import aio
            return getattr(aio, name)

        def __dir__():
            return sorted(set(globals()) | set(__all__))
