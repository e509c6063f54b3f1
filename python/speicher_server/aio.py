"""The client for asyncio, on Python 3."""
import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Type, Union

from . import protocol
from .aio_connection import AsyncConnection
from .connection import HOST_DEFAULT, PORT_DEFAULT, REPLY_MAX_DEFAULT, TIMEOUT_DEFAULT
from .exceptions import ClientError, ConnectionError, MalformedReply, SpeicherError
from .pipeline import Batch, conclude

if TYPE_CHECKING:
    from .protocol import Key


class AsyncSpeicher:
    """The methods of :class:`speicher_server.Speicher`, to be awaited.

    >>> async with AsyncSpeicher('localhost', 14567) as client:  # doctest: +SKIP
    ...     await client.set('foo', 'bar')
    ...     await client.get('foo')
    'bar'

    Arguments, results and errors are the same. The time of a call begins when
    its turn comes. Any number of tasks of one
    event loop may use a client; their calls take turns on its connection. A
    call that is cancelled closes it, and the next call connects again. A call
    from another event loop connects anew, for that loop.
    """

    # For subclasses to replace.
    _prepare_key = staticmethod(protocol.prepare_key)

    def __init__(self, host: Union[str, bytes, None] = None, port: Optional[int] = None,
                 timeout: Optional[float] = None, reply_max: Optional[int] = None) -> None:
        self.host = protocol.native(host or HOST_DEFAULT)
        self.port = port or PORT_DEFAULT
        self.timeout = timeout or TIMEOUT_DEFAULT
        self.reply_max = reply_max or REPLY_MAX_DEFAULT
        self._connection: Optional[AsyncConnection] = None
        # Of the loop that makes calls; the first call finds out which.
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._turn: Optional[asyncio.Lock] = None

    async def set(self, key: 'Key', value: Any) -> None:
        """Stores the value in place of what was there; ``None`` deletes."""
        if value is None:
            await self.delete(key)
        else:
            await self._call('SET', key=self._prepare_key(key), value=value)

    async def get(self, key: 'Key') -> Any:
        """The value; ``None`` when there is none, and for a stored null."""
        return await self._call('GET', key=self._prepare_key(key))

    async def delete(self, key: 'Key') -> bool:
        """Removes the value; whether there was one."""
        removed: bool = await self._call('DEL', key=self._prepare_key(key))
        return removed

    async def reset(self) -> bool:
        """Removes everything, and returns ``True``."""
        done: bool = await self._call('RST')
        return done

    def pipeline(self) -> 'AsyncPipeline':
        """Collects requests to send together; see :class:`AsyncPipeline`."""
        return AsyncPipeline(self)

    async def close(self) -> None:
        """Closes the connection; the next call opens another."""
        connection = self._connection
        self._disconnect()
        if connection is not None:
            await connection.wait_closed()

    async def __aenter__(self) -> 'AsyncSpeicher':
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]],
                        error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self.close()

    async def _call(self, command: str, **members: Any) -> Any:
        try:
            return protocol.result(command, await self._execute(command, **members))
        except ClientError as error:
            if protocol.is_absent(command, error):
                return protocol.ABSENT[command]
            raise
        except MalformedReply:
            self._disconnect()
            raise

    async def _execute(self, command: Union[str, bytes], **kwargs: Any) -> Dict[str, Any]:
        """Sends the command; the reply to it, if its status is 200."""
        packet = _packet(protocol.request(command, kwargs))
        async with self._my_turn():
            replies: List[Any] = []
            await self._exchange([packet], replies)
            try:
                return protocol.check(replies[0])
            except SpeicherError as error:
                # As in the blocking client, after a clean 400 or 503 too.
                if getattr(error, 'status_code', None) != protocol.NOT_FOUND:
                    self._disconnect()
                raise

    def _my_turn(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # The connection and the lock of another loop are of no use here,
            # and that loop may be closed.
            if self._connection is not None:
                self._connection.abandon()
            self._connection = None
            self._loop, self._turn = loop, asyncio.Lock()
        assert self._turn is not None
        return self._turn

    async def _exchange(self, packets: List[bytes], replies: List[Any]) -> None:
        """Sends the packets and adds a reply to each. Any error closes."""
        try:
            connection = await self._connected()
            for burst, count in protocol.bursts(packets):
                connection.write(burst)
                for _ in range(count):
                    replies.append(await connection.read())
        except BaseException:
            self._disconnect()
            raise
        if connection.has_input():
            # Nobody asked for it: out of step, or the server's end.
            self._disconnect()

    async def _connected(self) -> AsyncConnection:
        if self._connection is not None and self._connection.has_stray_reply():
            self._disconnect()
            raise ConnectionError('The server sent a reply that nobody had asked for.')
        if self._connection is None:
            self._connection = await AsyncConnection.open(
                self.host, self.port, self.timeout, self.reply_max)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class AsyncPipeline(Batch):
    """Requests of an :class:`AsyncSpeicher`, sent together: fast, not atomic.

    >>> await client.pipeline().set('a', 1).get('a').run()  # doctest: +SKIP
    [None, 1]
    """

    def __init__(self, client: AsyncSpeicher) -> None:
        super().__init__(_packet, client._prepare_key)
        self._client = client

    async def run(self) -> List[Any]:
        """As :meth:`speicher_server.Pipeline.run`."""
        requests = self._take()
        if not requests:
            return []
        replies: List[Any] = []
        async with self._client._my_turn():
            try:
                await self._client._exchange([packet for _, _, packet in requests], replies)
                return conclude(requests, replies)
            except SpeicherError as error:
                self._client._disconnect()
                if error.results is None:
                    conclude(requests, replies, error)
                raise


def _packet(data: Any) -> bytes:
    return protocol.frame(protocol.encode(data))
