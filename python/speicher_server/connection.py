"""A connection: frames out, frames in, and no frame taken for another's."""
import errno
import socket
import time

from . import protocol
from .exceptions import ConnectionError, SpeicherError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Union

#: How a frame's length is written; see the module ``struct``.
LENGTH_FORMAT = '!i'

#: Most bytes to ask the socket for at once, and to give it.
MAX_READ_LENGTH = 1000000

#: Least bytes to ask for: most replies come whole, header and all.
_READ_LENGTH = 1 << 16

HOST_DEFAULT = 'localhost'
PORT_DEFAULT = 14567
TIMEOUT_DEFAULT = 10.0

#: Longest reply that is read, in bytes without the header: as long as a
#: server's frames are unless it is told otherwise.
REPLY_MAX_DEFAULT = 64 << 20

#: Bytes that get a call a second more, whether sent or received: what moves so
#: fast is no silent server, and what moves slower is not waited for.
BYTES_PER_SECOND = float(1 << 20)

#: A wait may overstay the deadline by this part of the timeout: to set the
#: socket's own timeout each time would cost more than a short wait.
_SLACK = 8

#: 2.7 has only the clock that people set.
_now = getattr(time, 'monotonic', time.time)  # type: Callable[[], float]


class Connection(object):
    """A TCP connection that sends objects as JSON in frames, and reads them.

    It connects when something is to be sent. Any error closes it, because a
    late reply could be taken for that of another request; the next ``send``
    connects again. Replies come in the order of the requests.

    ``timeout`` is in seconds, and limits how long the server takes to accept
    the connection, and then each ``send`` and each ``read`` as a whole; either
    may take 1 s more for each MiB that moves. ``reply_max`` is the longest
    reply that is read, in bytes; nothing is read, nor allocated, for one that
    is announced to be longer. ``None`` and 0 mean 10 s and 64 MiB.
    """

    length_size = protocol.HEADER.size
    length_struct = protocol.HEADER

    # For subclasses to replace; each call less is felt in a single request.
    _decode_packet = staticmethod(protocol.decode)
    _encode_packet = staticmethod(protocol.encode)

    def __init__(self, host=None, port=None, timeout=None, reply_max=None):
        # type: (Union[str, bytes, None], Optional[int], Optional[float], Optional[int]) -> None
        self._sock = None  # type: Optional[socket.socket]
        self.host = protocol.native(host or HOST_DEFAULT)
        self.port = port or PORT_DEFAULT
        self.timeout = timeout or TIMEOUT_DEFAULT
        self.reply_max = reply_max or REPLY_MAX_DEFAULT
        self._restart()
        self._forget()

    def _forget(self):
        # type: () -> None
        self._buffer = b''  # what was received,
        self._at = 0  # and how much of it was read
        self._unanswered = 0

    def _create_connection(self):
        # type: () -> socket.socket
        """A connected socket; tries each address of the host, IPv6 or IPv4."""
        sock = socket.create_connection((self.host, self.port), self.timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _create_packet(self, data):
        # type: (Any) -> bytes
        return protocol.frame(self._encode_packet(data), self.length_struct)

    def connect(self):
        # type: () -> None
        """Connects, unless it is connected. Raises ``ConnectionError``."""
        if self._sock is not None:
            return
        try:
            self._sock = self._create_connection()
        except (EnvironmentError, UnicodeError) as error:
            raise ConnectionError(
                "Can't connect to {0} port {1} ({2}); is a server running there?"
                .format(self.host, self.port, error))
        timeout = self._sock.gettimeout()
        self._sock_timeout = float('inf') if timeout is None else timeout

    def disconnect(self):
        # type: () -> None
        """Closes the connection, if there is one; replies to come are lost."""
        sock, self._sock = self._sock, None
        self._forget()
        if sock is not None:
            try:
                sock.close()
            except EnvironmentError:
                pass

    def __del__(self):
        # type: () -> None
        if getattr(self, '_sock', None) is not None:
            self.disconnect()

    def send(self, data):
        # type: (Any) -> None
        """Sends the object, after connecting if need be.

        Raises ``ConnectionError``, and ``ValueError`` or ``TypeError``, before
        anything is sent, for what JSON can't hold.
        """
        self._write(self._create_packet(data), 1)

    def read(self):
        # type: () -> Any
        """The reply to the earliest request that has none yet.

        Raises ``ConnectionError`` and ``MalformedReply``.
        """
        self._restart()
        return self._read()

    def _read(self):
        # type: () -> Any
        """As :meth:`read`, by the deadline that runs already."""
        if self._sock is None:
            raise ConnectionError('There is no connection to read from; send first.')
        try:
            reply = self._decode_packet(self._read_payload())
        except BaseException as error:
            self.disconnect()
            self._raise_as_ours('reading from', error)
            raise
        self._unanswered -= 1
        if self._unanswered <= 0 and self._at < len(self._buffer):
            # Nobody asked for what is left: out of step, or a last word.
            self.disconnect()
        return reply

    def _restart(self):
        # type: () -> None
        """The deadline runs from now."""
        self._begun = _now()
        self._moved = 0  # bytes since then

    def _limit_wait(self):
        # type: () -> None
        """Has the socket's next wait end by the deadline."""
        assert self._sock is not None
        left = self._begun + self.timeout + self._moved / BYTES_PER_SECOND - _now()
        if left <= 0:
            raise socket.timeout('timed out')
        if not left / 2 <= self._sock_timeout <= left + self.timeout / float(_SLACK):
            self._sock.settimeout(left)
            self._sock_timeout = left

    def _write(self, packets, count):
        # type: (bytes, int) -> None
        """Sends so many packets at once; the deadline runs from now."""
        if self._sock is None:
            self.connect()
        self._restart()
        try:
            self._send_all(packets)
        except BaseException as error:
            try:
                reply = self._last_word(error)
            finally:
                self.disconnect()
            self._raise_as_ours('writing to', error, reply)
            raise
        self._unanswered += count

    def _send_all(self, packets):
        # type: (bytes) -> None
        # Not with sendall, which on 2.7 gives each of its waits the whole timeout.
        rest = packets  # type: Any
        if len(packets) > MAX_READ_LENGTH:
            rest = memoryview(packets)
        while rest:
            sent = self._wait_for('send', rest[:MAX_READ_LENGTH])
            self._moved += sent
            rest = rest[sent:]

    def _wait_for(self, method, argument):
        # type: (str, Any) -> Any
        """Calls the socket's method until the deadline."""
        assert self._sock is not None
        while True:
            self._limit_wait()
            try:
                return getattr(self._sock, method)(argument)
            except socket.timeout:
                pass  # Bytes that moved meanwhile may have put the deadline off.
            except EnvironmentError as error:
                # Python 3 goes on by itself after a signal.
                if error.errno != errno.EINTR:
                    raise

    def _last_word(self, error):
        # type: (BaseException) -> Any
        """The reply of a server that closed before it was written to."""
        gone = (errno.EPIPE, errno.ECONNRESET)
        is_gone = isinstance(error, EnvironmentError) and error.errno in gone
        if not is_gone or self._unanswered:
            return None
        try:
            return self._decode_packet(self._read_payload())
        except (EnvironmentError, SpeicherError):
            return None

    def _raise_as_ours(self, doing, error, reply=None):
        # type: (str, BaseException, Any) -> None
        """Raises what a socket raised as a ``ConnectionError``."""
        if isinstance(error, socket.timeout):
            raise ConnectionError('The server let {0} s pass while {1} it; '
                                  'timeout allows more.'.format(self.timeout, doing))
        if isinstance(error, EnvironmentError) and not isinstance(error, SpeicherError):
            raise ConnectionError('The connection broke while {0} the server: {1}.'
                                  .format(doing, error), reply=reply)

    def _read_payload(self):
        # type: () -> bytes
        """The payload of the next frame, which mostly comes in one piece."""
        while len(self._buffer) - self._at < self.length_size:
            self._buffer = self._buffer[self._at:] + self._recv_msg(_READ_LENGTH)
            self._at = 0
        start = self._at + self.length_size
        length = self.length_struct.unpack_from(self._buffer, self._at)[0]
        if length <= 0:
            raise ConnectionError('The server announced a reply of {0} bytes; no '
                                  'reply is that short.'.format(length))
        if length > self.reply_max:
            raise ConnectionError(protocol.too_long(length, self.reply_max))
        end = self._at = start + length
        payload = self._buffer[start:end]
        if end >= len(self._buffer):
            self._buffer, self._at = b'', 0
            if len(payload) < length:
                return self._complete(payload, length)
        return payload

    def _complete(self, begun, length):
        # type: (bytes, int) -> bytes
        """The payload that has begun so.

        It is collected as it comes: nothing is allocated for a length that was
        only announced.
        """
        chunks = [begun]
        missing = length - len(begun)
        while missing > 0:
            chunk = self._recv_msg(min(missing, MAX_READ_LENGTH))
            chunks.append(chunk)
            missing -= len(chunk)
        return b''.join(chunks)

    def _recv_msg(self, length):
        # type: (int) -> bytes
        """At least one byte, and at most so many."""
        msg = self._wait_for('recv', length)  # type: bytes
        if not msg:
            raise ConnectionError('The server closed the connection without a reply.')
        self._moved += len(msg)
        return msg
