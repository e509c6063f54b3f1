"""A speicher server in about fifty lines, for Python 3.8 or newer: python3 server.py PORT

It passes every MUST and CLIENT case of the conformance kit, and where a SHOULD would have
taken more lines it differs. docs/protocol.md has the clauses that the comments cite.
"""
import json
import signal
import socketserver
import sys
import threading

entries = {}
lock = threading.Lock()
ABSENT = object()


def answer(payload):
    """The reply to the payload of one frame."""
    try:
        request = json.loads(payload.decode('utf-8'))
        command, key = request['command'], request.get('key', '')
        needs = {'SET': ('key', 'value'), 'GET': ('key',), 'DEL': ('key',), 'RST': ()}[command]
        if not isinstance(key, str) or any(name not in request for name in needs):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {'status_code': 400}  # R1 to R4
    with lock:  # S1
        if command == 'RST':
            entries.clear()
        elif command == 'SET':
            entries[key] = request['value']
        else:
            found = entries.get(key, ABSENT) if command == 'GET' else entries.pop(key, ABSENT)
            if found is ABSENT:
                return {'status_code': 404}
            if command == 'GET':
                return {'status_code': 200, 'value': found}
    return {'status_code': 200}


class Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while True:
            header = self.rfile.read(4)
            length = int.from_bytes(header, 'big', signed=True)  # F1
            payload = self.rfile.read(max(length, 0))  # waits until all has come: F6a
            if len(header) < 4 or len(payload) != length:
                return
            reply = json.dumps(answer(payload)).encode('ascii')
            self.wfile.write(len(reply).to_bytes(4, 'big') + reply)  # one write: F2


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128


for number in signal.SIGINT, signal.SIGTERM:
    signal.signal(number, lambda *_: sys.exit(0))  # S2
Server(('127.0.0.1', int(sys.argv[1])), Connection).serve_forever()
