"""Rates of changes with a journal, beside Redis with its own.

python3 measure.py SPEICHER FOLDER ROUNDS SECONDS > figures.txt

FOLDER is made anew for each server, on the file system to be measured. The
server has CPU 0, the load CPU 1.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time

SPEICHER, FOLDER, ROUNDS, SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
PORT = 27567
REDIS = ['redis-server', '--port', str(PORT), '--save', '', '--dir', FOLDER]


def speicher(model, *options):
    return 'speicher', [SPEICHER, 'serve', '--port', str(PORT), '--model', model, *options]


def journaled(model, sync):
    return speicher(model, '--data', FOLDER + '/data', '--sync', sync)


TARGETS = {
    'Redis always': ('resp', REDIS + ['--appendonly', 'yes', '--appendfsync', 'always']),
    'epoll always': journaled('epoll', 'always'),
    'tokio always': journaled('tokio', 'always'),
    'threads always': journaled('threads', 'always'),
    'Redis everysec': ('resp', REDIS + ['--appendonly', 'yes', '--appendfsync', 'everysec']),
    'epoll 100ms': journaled('epoll', '100ms'),
    'tokio 100ms': journaled('tokio', '100ms'),
    'threads 100ms': journaled('threads', '100ms'),
    'Redis memory': ('resp', REDIS + ['--appendonly', 'no']),
    'epoll memory': speicher('epoll'),
}
LOADS = [(connections, depth) for depth in (1, 32) for connections in (1, 8, 200)]


def wait_for_port():
    for _ in range(200):
        try:
            socket.create_connection(('127.0.0.1', PORT), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit('the server does not listen')


def measure(target, connections, depth):
    """Thousands of changes a second, and the 99th percentile in ms."""
    protocol, command = TARGETS[target]
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    server = subprocess.Popen(['taskset', '-c', '0', *command],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port()
        bench = ['taskset', '-c', '1', SPEICHER, 'bench', f'127.0.0.1:{PORT}', '--protocol', protocol,
                 '--connections', str(connections), '--pipeline', str(depth), '--duration', SECONDS,
                 '--get', '0', '--json', FOLDER + '/bench.json']
        subprocess.run(bench, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(FOLDER + '/bench.json', encoding='utf-8') as file:
            return figures(json.load(file)['measurement'])
    finally:
        server.terminate()
        server.wait()


def figures(told):
    return told['rate'] / 1e3, told['latency_ns']['p99'] / 1e6


def main():
    found = {}
    for _ in range(ROUNDS):
        for load in LOADS:
            for target in TARGETS:
                found.setdefault((target, load), []).append(measure(target, *load))
    print('| |', ' | '.join(f'{connections} x {depth}' for connections, depth in LOADS), '|')
    print('|---|' + '---|' * len(LOADS))
    for target in TARGETS:
        cells = []
        for load in LOADS:
            rate, p99 = (statistics.median(column) for column in zip(*found[target, load]))
            cells.append(f'{rate:,.1f} ({p99:.2f})')
        print(f'| {target} |', ' | '.join(cells), '|')


main()
