"""The claims that only Python 3 can read."""
import sys

if sys.version_info >= (3,):
    from asyncio_claims import Tasks  # noqa: F401
