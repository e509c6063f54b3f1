"""A connection: frames out, frames in, and no frame taken for another's."""
import errno
import socket

from . import protocol
from .exceptions import ConnectionError, SpeicherError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Union

#: How a frame's length is written; see the module ``struct``.
LENGTH_FORMAT = '!i'

#: Most bytes to ask the socket for at once, and to give it.
MAX_READ_LENGTH = 1000000

#: Least bytes to ask for: most replies come whole, header and all.
_READ_LENGTH = 1 << 16

HOST_DEFAULT = 'localhost'
PORT_DEFAULT = 14567
TIMEOUT_DEFAULT = 10.0


class Connection(object):
    """A TCP connection that sends objects as JSON in frames, and reads them.

    It connects when something is to be sent. Any error closes it, because a
    late reply could be taken for that of another request; the next ``send``
    connects again. Replies come in the order of the requests.

    ``timeout`` is in seconds, and limits each wait for the server: to accept
    the connection, to take bytes and to send some.
    """

    length_size = protocol.HEADER.size
    length_struct = protocol.HEADER

    # For subclasses to replace; each call less is felt in a single request.
    _decode_packet = staticmethod(protocol.decode)
    _encode_packet = staticmethod(protocol.encode)

    def __init__(self, host=None, port=None, timeout=None):
        # type: (Union[str, bytes, None], Optional[int], Optional[float]) -> None
        self._sock = None  # type: Optional[socket.socket]
        self.host = protocol.native(host or HOST_DEFAULT)
        self.port = port or PORT_DEFAULT
        self.timeout = timeout or TIMEOUT_DEFAULT
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

    def _write(self, packets, count):
        # type: (bytes, int) -> None
        """Sends so many packets at once."""
        if self._sock is None:
            self.connect()
        assert self._sock is not None
        try:
            # In parts, because on 3 a timeout is that of all of one call.
            for start in range(0, len(packets), MAX_READ_LENGTH):
                self._sock.sendall(packets[start:start + MAX_READ_LENGTH])
        except BaseException as error:
            try:
                reply = self._last_word(error)
            finally:
                self.disconnect()
            self._raise_as_ours('writing to', error, reply)
            raise
        self._unanswered += count

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
            raise ConnectionError('The server let {0} s pass while {1} it.'
                                  .format(self.timeout, doing))
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
        assert self._sock is not None
        while True:
            try:
                msg = self._sock.recv(length)
            except EnvironmentError as error:
                # Python 3 goes on by itself after a signal.
                if error.errno != errno.EINTR:
                    raise
            else:
                break
        if not msg:
            raise ConnectionError('The server closed the connection without a reply.')
        return msg
