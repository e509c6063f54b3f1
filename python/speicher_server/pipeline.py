"""Requests that are sent without waiting for the replies between them."""
from . import protocol
from .exceptions import ConnectionError, SpeicherError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional, Tuple, TypeVar
    from .connection import Connection
    from .protocol import Key
    # The command, whether its result is that of a set, and the frame.
    Request = Tuple[str, bool, bytes]
    B = TypeVar('B', bound='Batch')


class Batch(object):
    """Requests in the order of their calls, and results in the same order."""

    def __init__(self, create_packet, prepare_key):
        # type: (Callable[[Any], bytes], Callable[[Key], str]) -> None
        self._create_packet = create_packet
        self._prepare_key = prepare_key
        self._requests = []  # type: List[Request]

    def set(self, key, value):
        # type: (B, Key, Any) -> B
        """Adds a ``set``, which results in ``None``."""
        if value is None:
            return self._add('DEL', as_set=True, key=self._prepare_key(key))
        return self._add('SET', key=self._prepare_key(key), value=value)

    def get(self, key):
        # type: (B, Key) -> B
        """Adds a ``get``, which results in the value or ``None``."""
        return self._add('GET', key=self._prepare_key(key))

    def delete(self, key):
        # type: (B, Key) -> B
        """Adds a ``delete``, which results in whether there was a value."""
        return self._add('DEL', key=self._prepare_key(key))

    def reset(self):
        # type: (B) -> B
        """Adds a ``reset``, which results in ``True``."""
        return self._add('RST')

    def _add(self, command, as_set=False, **members):
        # type: (B, str, bool, **Any) -> B
        packet = self._create_packet(protocol.request(command, members))
        self._requests.append((command, as_set, packet))
        return self

    def _take(self):
        # type: () -> List[Request]
        requests, self._requests = self._requests, []
        return requests


def conclude(requests, replies, broken=None):
    # type: (List[Request], List[Any], Optional[SpeicherError]) -> List[Any]
    """The results, or the error that is to be raised with them.

    ``broken`` is what kept the other requests from being answered.
    """
    results = [_result(*pair) for pair in zip(requests, replies)]
    errors = [one for one in results if isinstance(one, SpeicherError)]
    if broken is not None:
        # The last word of a server that closes is its reason.
        last = broken.reply if isinstance(broken, ConnectionError) else None
        failure = protocol.refusal(last or replies[-1:] and replies[-1]) or broken
    elif errors:
        failure = errors[0]
    else:
        return results
    failure.results = results
    raise failure


def _result(request, reply):
    # type: (Request, Any) -> Any
    command, as_set, _ = request
    try:
        result = protocol.outcome(command, reply)
    except SpeicherError as error:
        return error
    return None if as_set else result


class Pipeline(Batch):
    """Requests of a :class:`Speicher`, sent together: fast, not atomic.

    >>> client.pipeline().set('a', 1).get('a').delete('b').run()  # doctest: +SKIP
    [None, 1, False]

    Each call adds a request; what can't be sent is refused there and then.
    """

    def __init__(self, connection, prepare_key):
        # type: (Connection, Callable[[Key], str]) -> None
        super(Pipeline, self).__init__(connection._create_packet, prepare_key)
        self._conn = connection

    def run(self):
        # type: () -> List[Any]
        """Sends what was added since the last run; a result for each, in order.

        If there were errors, the first is raised when all replies are there.
        Its ``results`` has what the requests came to, errors among them; when
        the connection broke, those that were answered.

        Each reply has as long as a call, from the reply before it: a long
        pipeline may take its time as long as it gets on.
        """
        requests = self._take()
        replies = []  # type: List[Any]
        try:
            for packets, count in protocol.bursts(packet for _, _, packet in requests):
                self._conn._write(packets, count)
                for _ in range(count):
                    replies.append(self._conn._read())
                    self._conn._restart()
            return conclude(requests, replies)
        except BaseException as error:
            self._conn.disconnect()
            if isinstance(error, SpeicherError) and error.results is None:
                conclude(requests, replies, error)
            raise
