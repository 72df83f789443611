# shellcheck shell=bash
# The release binary for suites of foreign clients: source it and start brokers; whatever was started
# here ends with the script, by its process id, and so does $scratch.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
binary=${TERNMQ_BIN:-${CARGO_TARGET_DIR:-$root/target}/release/ternmq}
export HOST=127.0.0.1
scratch=$(mktemp -d)
brokers=() # process ids

end_brokers() {
  local broker
  for broker in "${brokers[@]}"; do
    if kill -TERM "$broker" 2>/dev/null; then wait "$broker" || true; fi
  done
  rm -rf "$scratch"
}
trap end_brokers EXIT

# free_ports COUNT: that many ports in one line.
free_ports() {
  python3 -c 'import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[s.getsockname()[1] for s in held])' "$1"
}

# start_broker NAME OPTION...: a broker whose log is $scratch/NAME.log; returns when it listens, as it
# does only when it is ready. To connect would prove less: a connection to a free port of 127.0.0.1 can
# meet itself.
start_broker() {
  local name=$1 tries
  shift
  [[ -x $binary ]] || { echo "$binary is missing: cargo build --release"; exit 1; }
  "$binary" --set "storage.data_dir=\"$scratch/$name\"" "$@" >"$scratch/$name.log" 2>&1 &
  brokers+=($!)
  for ((tries = 0; tries < 200; tries++)); do
    if grep -qs ' listening ' "$scratch/$name.log"; then return; fi
    if ! kill -0 "${brokers[-1]}" 2>/dev/null; then break; fi
    sleep 0.05
  done
  echo "the broker is not ready; its log ends:"
  tail -n 20 "$scratch/$name.log"
  exit 1
}

# brokers_live: whether all of them still run.
brokers_live() {
  local broker
  for broker in "${brokers[@]}"; do kill -0 "$broker" 2>/dev/null || return 1; done
}
