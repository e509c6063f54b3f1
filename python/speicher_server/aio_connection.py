"""A connection of the client for asyncio: frames out, frames in."""
import asyncio
from typing import Any, Optional

from . import protocol
from .connection import BYTES_PER_SECOND
from .exceptions import ConnectionError

#: Bytes that are received before anybody waits for them.
_AHEAD_LEN_MAX = 1 << 20


class AsyncConnection(asyncio.Protocol):
    """One connection, from its opening to its end.

    A protocol, because a stream does not say whether bytes are left over, and
    forgets those that came before an error.
    """

    def __init__(self, timeout: float, reply_max: int) -> None:
        self._timeout = timeout
        self._reply_max = reply_max
        # Bytes of the whole connection, and as many as they were when the
        # deadline began to run.
        self._received_count = self._written_count = self._moved_before = 0
        self._begun = 0.0
        self._received = bytearray()
        self._is_over = False
        self._is_paused = False
        self._waiter: Optional['asyncio.Future[None]'] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._transport: asyncio.Transport
        self._closed = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, host: str, port: int, timeout: float,
                   reply_max: int) -> 'AsyncConnection':
        """Connects to the first of the host's addresses that answers."""
        opening = asyncio.ensure_future(asyncio.get_running_loop().create_connection(
            lambda: cls(timeout, reply_max), host, port))
        try:
            # Not wait_for, which before 3.12 forgets a cancellation that comes
            # as the connection does.
            await asyncio.wait({opening}, timeout=timeout)
            if not opening.done():
                raise asyncio.TimeoutError
            return opening.result()[1]
        except (OSError, UnicodeError, asyncio.TimeoutError) as error:
            opening.cancel()
            cause = str(error) or f'{timeout} s have passed'
            raise ConnectionError(f"Can't connect to {host} port {port} ({cause}); "
                                  'is a server running there?') from error
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            opening.cancel()
            raise

    def has_stray_reply(self) -> bool:
        """Whether bytes have come that no request had asked for."""
        return bool(self._received)

    def has_input(self) -> bool:
        """Whether there is something to read, an end included."""
        return self._is_over or bool(self._received)

    def write(self, packets: bytes) -> None:
        """Sends the packets; what the server does not take yet is kept.

        The deadline of the first reply runs from now.
        """
        self._restart()
        self._written_count += len(packets)
        self._transport.write(packets)

    async def read(self) -> Any:
        """The next reply, by its deadline; that of the one after it runs then."""
        length = protocol.HEADER.unpack(await self._take(protocol.HEADER.size))[0]
        if length <= 0:
            raise ConnectionError(f'The server announced a reply of {length} bytes; '
                                  'no reply is that short.')
        if length > self._reply_max:
            raise ConnectionError(protocol.too_long(length, self._reply_max))
        payload = await self._take(length)
        self._restart()
        return protocol.decode(payload)

    def close(self) -> None:
        """Closes at once; replies to come are lost."""
        self._transport.abort()

    def abandon(self) -> None:
        """Closes as well as can be done when the event loop may be closed."""
        try:
            self.close()
        except RuntimeError:
            pass

    async def wait_closed(self) -> None:
        """Waits until the socket is closed."""
        await self._closed

    async def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            if self._is_over:
                raise ConnectionError('The server closed the connection without a reply.')
            await self._more()
        with memoryview(self._received) as view:
            taken = bytes(view[:count])
        del self._received[:count]
        return taken

    async def _more(self) -> None:
        """Waits for bytes, or the end."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        self._watch()
        try:
            await self._waiter
        finally:
            assert self._timer is not None
            self._timer.cancel()
            self._waiter = None

    def _restart(self) -> None:
        self._begun = asyncio.get_running_loop().time()
        self._moved_before = self._moved()

    def _moved(self) -> int:
        return (self._received_count + self._written_count
                - self._transport.get_write_buffer_size())

    def _deadline(self) -> float:
        moved = self._moved() - self._moved_before
        return self._begun + self._timeout + moved / BYTES_PER_SECOND

    def _watch(self) -> None:
        """Gives up at the deadline."""
        # A timer is cheaper than wait_for, which makes a task for each call.
        self._timer = asyncio.get_running_loop().call_at(self._deadline(), self._give_up)

    def _give_up(self) -> None:
        if asyncio.get_running_loop().time() < self._deadline():
            # Bytes that moved meanwhile have put it off.
            self._watch()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(
                f'The server let {self._timeout} s pass without a reply; '
                'timeout allows more.'))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._received_count += len(data)
        if self._waiter is None and len(self._received) >= _AHEAD_LEN_MAX:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._is_over = True
        self._wake()

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._is_over = True
        self._wake()
        if not self._closed.done():
            self._closed.set_result(None)


def _close_unused(opening: 'asyncio.Future[Any]') -> None:
    """Closes a connection that came after nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[1].close()
