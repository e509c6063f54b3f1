"""The client behind one line per call, for the conformance kit.

    python kit_client.py PORT TIMEOUT [async]

reads ``set KEY JSON``, ``get KEY``, ``delete KEY`` and ``reset`` and prints a
line for each: ``ok``, ``absent``, ``value JSON``, ``refused SENTENCE`` when the
client does not send the call, or ``error SENTENCE``. ``set KEY null`` deletes,
as ``set(key, None)`` does.
"""
import json
import sys

from harness import CLIENTS
from speicher_server import SpeicherError


def answer(client, line):
    command, _, rest = line.rstrip('\n').partition(' ')
    key, _, value = rest.partition(' ')
    try:
        if command == 'set':
            client.set(key, json.loads(value))
            return 'ok'
        if command == 'get':
            found = client.get(key)
            return 'absent' if found is None else 'value ' + json.dumps(found)
        if command == 'delete':
            return 'ok' if client.delete(key) else 'absent'
        if command == 'reset':
            client.reset()
            return 'ok'
        raise ValueError('there is no call {0!r}'.format(command))
    except SpeicherError as error:
        return 'error ' + ' '.join(str(error).split())
    except (TypeError, ValueError) as error:
        return 'refused ' + ' '.join(str(error).split())


def main(port, timeout, kind='blocking'):
    client_class = CLIENTS['Awaited' if kind == 'async' else 'Blocking']
    client = client_class('127.0.0.1', int(port), float(timeout))
    # Bytes on 2.7 and text on 3, which is what a str is there.
    for line in iter(sys.stdin.readline, ''):
        print(answer(client, line))
        sys.stdout.flush()
    getattr(client, 'dispose', client.close)()


if __name__ == '__main__':
    main(*sys.argv[1:])
