"""The blocking client."""
from . import protocol
from .connection import Connection
from .exceptions import ClientError, ConnectionError, MalformedReply
from .pipeline import Pipeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Optional, Type, TypeVar, Union
    from .protocol import Key, Reply
    Self = TypeVar('Self', bound='Speicher')


class Speicher(object):
    """A client of one server, which connects on first use.

    >>> with Speicher('localhost', 14567) as client:  # doctest: +SKIP
    ...     client.set('foo', 'bar')
    ...     client.get('foo')
    'bar'

    ``timeout`` is in seconds, and limits how long the server takes to accept
    the connection, and then each call as a whole, however little by little it
    is answered. A call may take 1 s more for each MiB that is sent or received,
    and an eighth of the timeout; each reply of a pipeline has as long as a call.
    ``reply_max`` is the longest reply that is read, in bytes: nothing is read,
    nor allocated, for one that is announced to be longer. ``None`` means
    localhost, 14567, 10 s and 64 MiB; so do an empty host and 0.

    Keys are text, or bytes in UTF-8, and not empty: ``ValueError`` and
    ``TypeError`` say so before anything is sent. Values are whatever ``json``
    can write, without NaN and infinities (``ValueError``). Text in a value
    comes back as text: ``unicode`` on 2.7.

    Each call may raise :class:`ConnectionError`, :class:`MalformedReply`,
    :class:`ClientError` and :class:`ServerError`. An error closes the
    connection, and the next call opens another, so no late reply is taken for
    its own. No call is ever sent twice.

    A client has one connection, and a call is a request and its reply, so a
    client may be used by one thread at a time: give each thread its own, or
    put a lock around the calls. After a fork, parent and child need their own.
    """

    # For subclasses to replace.
    _prepare_key = staticmethod(protocol.prepare_key)

    def __init__(self, host=None, port=None, timeout=None, reply_max=None):
        # type: (Union[str, bytes, None], Optional[int], Optional[float], Optional[int]) -> None
        self._conn = Connection(host, port, timeout, reply_max)

    def set(self, key, value):
        # type: (Key, Any) -> None
        """Stores the value in place of what was there; ``None`` deletes."""
        if value is None:
            self.delete(key)
        else:
            self._call('SET', key=self._prepare_key(key), value=value)

    def get(self, key):
        # type: (Key) -> Any
        """The value; ``None`` when there is none, and for a stored null."""
        return self._call('GET', key=self._prepare_key(key))

    def delete(self, key):
        # type: (Key) -> bool
        """Removes the value; whether there was one."""
        removed = self._call('DEL', key=self._prepare_key(key))  # type: bool
        return removed

    def reset(self):
        # type: () -> bool
        """Removes everything, and returns ``True``."""
        done = self._call('RST')  # type: bool
        return done

    def pipeline(self):
        # type: () -> Pipeline
        """Collects requests to send together; see :class:`Pipeline`."""
        return Pipeline(self._conn, self._prepare_key)

    def close(self):
        # type: () -> None
        """Closes the connection; the next call opens another."""
        self._conn.disconnect()

    def __enter__(self):
        # type: (Self) -> Self
        return self

    def __exit__(self, kind, error, trace):
        # type: (Optional[Type[BaseException]], Optional[BaseException], Optional[TracebackType]) -> None
        self.close()

    def _call(self, command, **members):
        # type: (str, **Any) -> Any
        try:
            return protocol.result(command, self._execute(command, **members))
        except ClientError as error:
            if protocol.is_absent(command, error):
                return protocol.ABSENT[command]
            raise
        except MalformedReply:
            self._conn.disconnect()
            raise

    def _execute(self, command, **kwargs):
        # type: (Union[str, bytes], **Any) -> Reply
        """Sends the command; the reply to it, if its status is 200.

        Any other status is raised, 404 too.
        """
        request = protocol.request(command, kwargs)
        try:
            self._conn.send(request)
        except ConnectionError as error:
            raise protocol.refusal(error.reply) or error
        try:
            # By the deadline of the whole call.
            return protocol.check(self._conn._read())
        except BaseException as error:
            # Also after a clean 400 or 503: some of them are a server's last
            # word, and whether it closes is not known yet.
            if getattr(error, 'status_code', None) != protocol.NOT_FOUND:
                self._conn.disconnect()
            raise
