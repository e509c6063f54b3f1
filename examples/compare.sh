#!/usr/bin/env bash
# Interleaved rounds of the same load on speicher, the echo floor, and Redis
# where it is installed. Prints every figure, in operations per second, and the
# medians of the ratios in each round. Ends by itself, with all that it started.
#
# usage: examples/compare.sh [ROUNDS] [options of the load example]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
shift || true
cargo build --release --quiet --bins --examples
load=target/release/examples/load

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
start() { "$@" >/dev/null & pids+=($!); }
start target/release/speicher serve --port 7801
start target/release/examples/echo 127.0.0.1:7802
redis=$(command -v redis-server || true)
[ -z "$redis" ] || start "$redis" --port 7803 --save "" --appendonly no
sleep 1

for ((round = 0; round < rounds; round++)); do
    speicher=$($load 127.0.0.1:7801 "$@")
    echo=$($load 127.0.0.1:7802 --protocol echo "$@")
    other=${redis:+$($load 127.0.0.1:7803 --protocol resp "$@")}
    echo "speicher $speicher echo $echo redis ${other:--}"
done | awk '
    function median(values, n,    i, j, v) {
        for (i = 2; i <= n; i++) {
            v = values[i]
            for (j = i - 1; j > 0 && values[j] > v; j--) values[j + 1] = values[j]
            values[j + 1] = v
        }
        return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
    }
    { print; echo[NR] = $2 / $4 }
    $6 != "-" { redis[++count] = $2 / $6 }
    END {
        printf "median of speicher / echo: %.2f\n", median(echo, NR)
        if (count) printf "median of speicher / redis: %.2f\n", median(redis, count)
    }'
