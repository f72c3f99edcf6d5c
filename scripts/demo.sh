#!/usr/bin/env bash
# The demo: a private RabbitMQ, magne-actors with examples/latency/magne.yaml,
# N tasks of 1, 3, 5 or 10 seconds, a progress line, and the supervision tree while
# they run and afterwards. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
n=${N:-2000}
config=examples/latency/magne.yaml

scripts/install-deps.sh
tmp=$(mktemp -d)
node='' worker=''
cleanup() {
	[ -z "$worker" ] || kill -TERM "$worker" 2>/dev/null || true
	[ -z "$worker" ] || wait "$worker" 2>/dev/null || true
	[ -z "$node" ] || kill -TERM "$node" 2>/dev/null || true
	[ -z "$node" ] || wait "$node" 2>/dev/null || true
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

echo "building ..."
go build -o "$tmp/" ./cmd/magne-actors ./scripts/node

echo "starting a private RabbitMQ ..."
mkfifo "$tmp/alive"
"$tmp/node" <"$tmp/alive" >"$tmp/url" &
node=$!
exec 9>"$tmp/alive" # the node stops when we are gone, however we end
until [ -s "$tmp/url" ]; do
	kill -0 "$node" 2>/dev/null || { echo "RabbitMQ did not start" >&2; exit 1; }
	sleep 0.1
done
MAGNE_BROKER_URL=$(cat "$tmp/url")
MAGNE_CONTROL_SOCKET=$tmp/magne.sock
export MAGNE_BROKER_URL MAGNE_CONTROL_SOCKET

magne() { "$tmp/magne-actors" "$@"; }
# settled prints how many deliveries the router has settled. tree's exit code
# says how healthy the tree is, which is no matter here.
settled() { { magne tree --socket "$MAGNE_CONTROL_SOCKET" -o json || true; } | grep -o '"settled": *[0-9]*' | grep -o '[0-9]*$' | head -n 1; }

echo "starting magne-actors run -c $config"
"$tmp/magne-actors" run -c "$config" 2>"$tmp/log" 9>&- &
worker=$!
until magne tree --socket "$MAGNE_CONTROL_SOCKET" >/dev/null 2>&1; do
	kill -0 "$worker" 2>/dev/null || { cat "$tmp/log" >&2; exit 1; }
	sleep 0.1
done

echo "publishing $n tasks that take 1 s (half of them), 3, 5 or 10 s"
start=$(date +%s%N)
magne publish -c "$config" -n "$n" magne_latency_bench
shown=''
while :; do
	kill -0 "$worker" 2>/dev/null || { echo; cat "$tmp/log" >&2; exit 1; }
	done_=$(settled || echo 0)
	elapsed=$((($(date +%s%N) - start) / 100000000))
	line=$(printf '%6d of %d done after %d.%d s' "${done_:-0}" "$n" $((elapsed / 10)) $((elapsed % 10)))
	if [ -t 1 ]; then printf '\r%s' "$line"; fi
	if [ -z "$shown" ] && [ "$elapsed" -ge 20 ]; then
		shown=1
		printf '\n\n'
		magne tree --socket "$MAGNE_CONTROL_SOCKET" || true
		echo
	fi
	[ "${done_:-0}" -lt "$n" ] || break
	[ "$elapsed" -lt 1200 ] || { echo "still not done after 120 s" >&2; exit 1; }
	sleep 0.2
done
if [ -t 1 ]; then echo; else echo "$line"; fi
echo
magne tree --socket "$MAGNE_CONTROL_SOCKET" || true

echo
echo "stopping (SIGTERM: running tasks finish, exit 0)"
kill -TERM "$worker"
code=0
wait "$worker" || code=$?
worker=''
echo "magne-actors exited with $code"
exit "$code"
