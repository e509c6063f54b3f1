"""What a server with a remote store takes beside one without and beside Redis itself.

measure.py SPEICHER CLIENT ROUNDS SECONDS, with the client of the folder beside this file. Needs
redis-server, redis-cli and taskset; the server measured is on core 0, all else is on core 1.
"""
import glob
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

POINTS = [(1, 1), (8, 1), (1000, 1), (1, 32), (8, 32), (1000, 32)]
WARMUP = 0.5
speicher, client = sys.argv[1:3]
rounds, seconds = int(sys.argv[3]), int(sys.argv[4])
folder = tempfile.mkdtemp()
started = []


# Those of the bus of a cluster are 10,000 above.
ports = itertools.count(21000)


def free_port():
    for port in ports:
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)) != 0:
                return port


def start(core, *command):
    process = subprocess.Popen(['taskset', '-c', str(core)] + [str(word) for word in command],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
    started.append(process)
    return process


def redis(core, *options):
    port = free_port()
    process = start(core, 'redis-server', '--port', port, '--save', '', '--cluster-config-file', '%d.conf' % port, *options)
    return process, port


def cluster(primaries):
    nodes = [redis(1, '--cluster-enabled', 'yes') for _ in range(primaries)]
    time.sleep(1)
    addresses = ['127.0.0.1:%d' % port for _, port in nodes]
    subprocess.run(['redis-cli', '--cluster', 'create', *addresses, '--cluster-yes'], check=True, stdout=subprocess.DEVNULL)
    time.sleep(2)
    return [process for process, _ in nodes], 'redis-cluster://' + ','.join(addresses[:3])


def serve(*options):
    process = start(0, speicher, 'serve', '--port', 0, *options)
    return process, process.stdout.readline().split()[2]


def cpu(*processes):
    """Microseconds of processor time so far."""
    stats = [stat for process in processes for stat in glob.glob('/proc/%d/task/*/schedstat' % process.pid)]
    return sum(int(open(stat).read().split()[0]) for stat in stats) / 1e3


def bench(target, protocol, connections, depth, load=False):
    report = os.path.join(folder, 'bench.json')
    subprocess.run(['taskset', '-c', '1', speicher, 'bench', target, '--protocol', protocol, '--connections', str(connections),
                    '--pipeline', str(depth), '--duration', '%ds' % seconds, '--warmup', '500ms', '--json', report]
                   + (['--load'] if load else []), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.load(open(report))['measurement']


def measure(target, connections, depth):
    """Operations a second, and microseconds for one: of the server, of the nodes behind it."""
    process, address, protocol, nodes = target
    before, nodes_before = cpu(process), cpu(*nodes)
    result = bench(address, protocol, connections, depth)
    # What is not measured, the warm-up, takes as much.
    operations = result['operations'] * (1 + WARMUP / result['seconds'])
    return result['rate'], (cpu(process) - before) / operations, (cpu(*nodes) - nodes_before) / operations


def main():
    node, port = redis(1)
    alone, alone_port = redis(0)
    three, three_address = cluster(3)
    twelve, twelve_address = cluster(12)
    targets = {
        'memory': (*serve('--model', 'tokio'), 'speicher', []),
        'remote': (*serve('--store', 'redis://127.0.0.1:%d' % port), 'speicher', [node]),
        'redis': (alone, '127.0.0.1:%d' % alone_port, 'resp', []),
        '3 primaries': (*serve('--store', three_address), 'speicher', three),
        '12 primaries': (*serve('--store', twelve_address), 'speicher', twelve),
    }
    for process, address, protocol, _ in targets.values():
        bench(address, protocol, 8, 32, load=True)
    results = {}
    for _ in range(rounds):
        for point in POINTS:
            for name, target in targets.items():
                results.setdefault((point, name), []).append(measure(target, *point))
            said = subprocess.run(['taskset', '-c', '0', client, str(port), str(point[0]), str(point[1]), str(seconds)],
                                  check=True, capture_output=True, text=True).stdout.split()
            results.setdefault((point, 'client'), []).append((float(said[0]), float(said[1]), 0))
    for point in POINTS:
        median = {name: [statistics.median(one) for one in zip(*results[point, name])] for name in [*targets, 'client']}
        print('%d connections, depth %d' % point)
        for name, (rate, own, nodes) in median.items():
            print('    %-12s %9.0f/s  %7.3f us  nodes %6.3f us' % (name, rate, own, nodes))
        goal = 1.5 * median['memory'][1] + median['client'][1]
        print('    1.5 memory + client %.3f us, remote is %.2f of it' % (goal, median['remote'][1] / goal))


try:
    main()
finally:
    for process in started:
        process.terminate()
        process.wait()
