"""What a call can raise.

All of them are a :class:`SpeicherError`. Arguments that no server would
accept raise ``ValueError`` or ``TypeError`` instead, before anything is sent.
"""
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional

if sys.version_info >= (3,):
    from builtins import ConnectionError as _PythonsOwn
else:
    _PythonsOwn = IOError


class SpeicherError(Exception):
    """What all errors of this package have in common."""

    #: After :meth:`Pipeline.run`: a result for each request that was answered.
    results = None  # type: Optional[List[Any]]

    def __init__(self, *args, **kwargs):
        # type: (*Any, **Any) -> None
        super(SpeicherError, self).__init__(*args)
        self.__dict__.update(kwargs)


class ConnectionError(SpeicherError, _PythonsOwn):
    """The server can't be reached, is silent, or closed the connection.

    Whether it executed the request is not known. The next call connects
    again. On Python 3 this is also Python's own ``ConnectionError``, so the
    name may be imported over that without a change in what is caught; on 2.7
    it is an ``IOError``.
    """

    #: What the server said before it closed a connection that was written to.
    reply = None  # type: Any


class MalformedReply(SpeicherError):
    """The reply is none of this protocol. The next call connects again."""


class ClientError(SpeicherError):
    """The server refused the request: a status from 400 to 499."""

    #: The reply's status.
    status_code = None  # type: Optional[int]


class ServerError(SpeicherError):
    """The server could not execute the request: a status from 500 to 599.

    503 means that nothing was executed and that trying again may help.
    """

    #: The reply's status.
    status_code = None  # type: Optional[int]
