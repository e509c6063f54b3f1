#!/usr/bin/env bash
# Interleaved rounds of the same load on each model, the echo floor of each way
# of doing I/O, and Redis where it is installed. Prints every figure, in
# operations per second, and the medians of the ratios in each round. Ends by
# itself, with all that it started. Takes the ports 7801 to 7806.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-}
if ! [[ $rounds =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: examples/compare.sh ROUNDS [OPTIONS], as in" >&2
    echo "       examples/compare.sh 5 --depth 32 --threads 2; examples/load.rs lists the options" >&2
    exit 2
fi
shift
for port in 7801 7802 7803 7804 7805 7806; do
    if (: < "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        echo "port $port is in use; 7801 to 7806 have to be free" >&2
        exit 1
    fi
done
cargo build --release --quiet --bins --examples
load=target/release/examples/load

pids=()
figures=$(mktemp)
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -f "$figures"' EXIT
start() { "$@" >/dev/null & pids+=($!); }
start target/release/speicher serve --port 7801 --model threads
start target/release/speicher serve --port 7802 --model tokio
start target/release/speicher serve --port 7803 --model epoll
start target/release/examples/echo 127.0.0.1:7804 threads
start target/release/examples/echo 127.0.0.1:7805 epoll
redis=$(command -v redis-server || true)
[ -z "$redis" ] || start "$redis" --port 7806 --save "" --appendonly no
sleep 1

echo "threads tokio epoll echo-threads echo-epoll redis"
for ((round = 0; round < rounds; round++)); do
    line=()
    for port in 7801 7802 7803; do line+=("$($load 127.0.0.1:$port "$@")"); done
    for port in 7804 7805; do line+=("$($load 127.0.0.1:$port --protocol echo "$@")"); done
    [ -z "$redis" ] || line+=("$($load 127.0.0.1:7806 --protocol resp "$@")")
    echo "${line[*]}" | tee -a "$figures"
done

# The median over rounds of column A divided by column B.
ratio() {
    awk -v a="$1" -v b="$2" '{ print $a / $b }' "$figures" | sort -n |
        awk '{ v[NR] = $1 } END { m = int((NR + 1) / 2); printf "%.2f", (v[m] + v[NR + 1 - m]) / 2 }'
}
echo "medians of the ratios: to the echo of the same kind, to Redis"
for model in 1:threads:4 2:tokio:5 3:epoll:5; do
    IFS=: read -r column name floor <<< "$model"
    echo "$name $(ratio "$column" "$floor") ${redis:+$(ratio "$column" 6)}"
done
