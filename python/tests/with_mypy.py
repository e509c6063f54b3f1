"""For mypy: what users of the installed package are told about their types."""
import asyncio
from typing import Any, List, Optional

from speicher_server import AsyncSpeicher, ClientError, Speicher, find_binary
from speicher_server import Speichr  # type: ignore[attr-defined]  # noqa: F401
from speicher_server.testing import running_server


def blocking(client: Speicher) -> bool:
    client.set(b'k', [1])
    value: Any = client.get('k')
    results: List[Any] = client.pipeline().set('k', value).get('k').run()
    return client.delete('k') and client.reset() and bool(results)


async def awaited(client: AsyncSpeicher) -> Optional[int]:
    try:
        async with client as same:
            await same.pipeline().set('k', 1).run()
    except ClientError as error:
        return error.status_code
    return None


def wrong(client: Speicher) -> None:
    client.get(1)  # type: ignore[arg-type]
    client.get()  # type: ignore[call-arg]


with running_server('--model', 'epoll') as server, server.client() as one:
    asyncio.run(awaited(AsyncSpeicher(server.host, server.port, timeout=1.5)))
    path: str = find_binary()
