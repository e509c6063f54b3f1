"""Requests to bytes, and replies to results; nothing here does I/O.

The clauses are in docs/protocol.md of the source.
"""
import json
import re
import struct
import sys

from .exceptions import ClientError, MalformedReply, ServerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union
    from .exceptions import SpeicherError
    Key = Union[str, bytes]
    Reply = Dict[str, Any]

if sys.version_info >= (3,):
    text_type = str
else:
    text_type = unicode  # noqa: F821

#: On 2.7 a ``str`` is bytes, and ``json`` takes UTF-8 as it is.
_STR_IS_BYTES = sys.version_info < (3,)

#: The header of a frame: the payload's length (F1).
HEADER = struct.Struct('!i')

#: The longest payload that a header can announce, in bytes.
FRAME_LEN_MAX = (1 << 31) - 1

#: Bytes of requests that may wait for their replies. They fit into the
#: sockets' buffers, so that a client that only sends and a server that only
#: replies never wait for each other.
UNANSWERED_LEN_MAX = 16 << 10

#: Characters of a server's own words that an error repeats.
_SENTENCE_LEN_MAX = 1000

OK = 200
NOT_FOUND = 404

#: What a command returns where the server has no such key.
ABSENT = {'GET': None, 'DEL': False}

# A surrogate without its other half. On 2.7 text may be stored in halves, and
# anywhere JSON's escapes join the halves, so whole pairs are left alone.
_LONE_SURROGATE = re.compile(
    u'[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]')


def prepare_key(key):
    # type: (Key) -> str
    """The key as text; ``ValueError`` and ``TypeError`` if it can't be one (R4, R4a)."""
    if isinstance(key, bytes):
        key = key.decode('utf-8')
    elif not isinstance(key, text_type):
        raise TypeError('A key is text or UTF-8 bytes, not {0!r}.'.format(key))
    if not key:
        raise ValueError('The key is empty; give it at least one character.')
    if _LONE_SURROGATE.search(key):
        raise ValueError(
            'The key {0!r} has half a surrogate pair, which is no Unicode text.'
            .format(key))
    return key


def request(command, members):
    # type: (Union[str, bytes], Dict[str, Any]) -> Dict[str, Any]
    """The members with the command among them. It and the key may be bytes."""
    if not _STR_IS_BYTES:
        if isinstance(command, bytes):
            command = command.decode('utf-8')
        if isinstance(members.get('key'), bytes):
            members['key'] = members['key'].decode('utf-8')
    members['command'] = command
    return members


_encoder = json.JSONEncoder(allow_nan=False, separators=(',', ':'))
_quote = json.encoder.encode_basestring_ascii


def encode(data):
    # type: (Any) -> bytes
    """JSON, in ASCII. ``ValueError`` for NaN and infinities (R9)."""
    try:
        text = _object(data) if type(data) is dict else _encoder.encode(data)  # type: Any
    except RuntimeError:  # RecursionError, where there is one
        raise ValueError('The value nests too deep for JSON to be written.')
    return text if isinstance(text, bytes) else text.encode('ascii')


def _object(data):
    # type: (Dict[Any, Any]) -> str
    """A request. What is text is quoted at once: setting ``json`` up for an object
    takes longer than writing it."""
    pieces = []  # type: List[str]
    for name, value in data.items():
        if not isinstance(name, str):
            return _encoder.encode(data)
        text = _quote(value) if isinstance(value, (str, text_type)) else _encoder.encode(value)
        pieces += (',' if pieces else '{', _quote(name), ':', text)
    pieces.append('}' if pieces else '{}')
    return ''.join(pieces)


def frame(payload, header=HEADER):
    # type: (bytes, struct.Struct) -> bytes
    """Header and payload."""
    if len(payload) > FRAME_LEN_MAX:
        raise ValueError('The request is longer than the {0} bytes of a frame.'
                         .format(FRAME_LEN_MAX))
    return header.pack(len(payload)) + payload


def too_long(length, reply_max):
    # type: (int, int) -> str
    """What is said of a reply that is announced to be longer than the limit."""
    return ('The server announced a reply of {0} bytes, over the limit of {1}; if '
            'it is a speicher server, allow more with reply_max.'
            .format(length, reply_max))


def _refuse_constant(name):
    # type: (str) -> None
    raise ValueError('{0} is not JSON'.format(name))


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def decode(payload):
    # type: (bytes) -> Any
    """What the payload of a reply says."""
    try:
        text = payload if _STR_IS_BYTES else payload.decode('utf-8')  # type: Any
        if text.startswith('{'):
            data, end = _decoder.raw_decode(text)
            if end == len(text):
                return data
        # It is slower, because it skips white space.
        return _decoder.decode(text)
    except (ValueError, RuntimeError) as error:
        raise MalformedReply('The reply is not JSON that Python can read: {0}.'
                             .format(error))


def check(reply):
    # type: (Any) -> Reply
    """The reply, if it says that the request was executed."""
    if not isinstance(reply, dict):
        raise MalformedReply('The reply is not an object.')
    try:
        status = reply['status_code']
    except KeyError:
        raise MalformedReply('The reply has no "status_code".')
    if status == OK:
        return reply
    if isinstance(status, (int, float)):
        if 400 <= status <= 499:
            raise ClientError(_sentence('Client', status, reply), status_code=status)
        if 500 <= status <= 599:
            raise ServerError(_sentence('Server', status, reply), status_code=status)
    raise MalformedReply('The reply\'s "status_code" is {0}; there are only '
                         '200, 4xx and 5xx.'.format(repr(status)[:_SENTENCE_LEN_MAX]))


def native(text):
    # type: (Union[str, bytes]) -> str
    """The text as a ``str``: str() of an error fails on 2.7 with any other."""
    if isinstance(text, str):
        return text
    if isinstance(text, bytes):
        return text.decode('utf-8')
    return text.encode('utf-8')


def _sentence(side, status, reply):
    # type: (str, float, Reply) -> str
    sentence = '%s Error %s' % (side, status)
    if 'error' in reply and isinstance(reply['error'], text_type):
        sentence += ': ' + native(reply['error'][:_SENTENCE_LEN_MAX])
    return sentence


def result(command, reply):
    # type: (str, Reply) -> Any
    """What the call returns for a reply that says 200."""
    if command == 'GET':
        try:
            return reply['value']
        except KeyError:
            raise MalformedReply('The reply has status 200, but no "value".')
    return None if command == 'SET' else True


def is_absent(command, error):
    # type: (str, ClientError) -> bool
    """Whether the error only says that there is no such key."""
    return error.status_code == NOT_FOUND and command in ABSENT


def outcome(command, reply):
    # type: (str, Any) -> Any
    """What the call returns for the reply, or raises."""
    try:
        return result(command, check(reply))
    except ClientError as error:
        if is_absent(command, error):
            return ABSENT[command]
        raise


def refusal(reply):
    # type: (Any) -> Optional[SpeicherError]
    """The error with which a server may refuse a connection, if it is that."""
    try:
        check(reply)
    except (ClientError, ServerError) as error:
        if error.status_code != NOT_FOUND:
            return error
    except MalformedReply:
        pass
    return None


def bursts(frames):
    # type: (Iterable[bytes]) -> Iterator[Tuple[bytes, int]]
    """Frames to send together, and how many they are."""
    burst = []  # type: List[bytes]
    size = 0
    for one in frames:
        if burst and size + len(one) > UNANSWERED_LEN_MAX:
            yield b''.join(burst), len(burst)
            burst, size = [], 0
        burst.append(one)
        size += len(one)
    if burst:
        yield b''.join(burst), len(burst)
