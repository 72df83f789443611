#!/usr/bin/env bash
# ternmq pub and ternmq sub, over MQTT and AMQP: with mosquitto's clients through the broker under test, and against a
# mosquitto broker that this driver starts.
source "$(dirname "$0")/lib.sh"

export TERNMQ_URL=mqtt://$HOST:$MQTT_PORT
unset TERNMQ_PASSWORD

# broker: a mosquitto that lets `ann` in with a password, and everybody else without one.
broker() {
  local folder=$scratch/mosquitto tries
  mkdir -p "$folder"
  read -r other_port locked_port < <(python3 -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[s.getsockname()[1] for s in held])')
  : >"$folder/passwords"
  mosquitto_passwd -b "$folder/passwords" ann s3cret 2>/dev/null
  printf 'user ann\ntopic readwrite interop/#\n' >"$folder/acl"
  chmod 600 "$folder/passwords" "$folder/acl"
  cat >"$folder/conf" <<CONF
per_listener_settings true
max_queued_messages 0
user $(id -un)
listener $other_port $HOST
allow_anonymous true
listener $locked_port $HOST
allow_anonymous false
password_file $folder/passwords
acl_file $folder/acl
CONF
  mosquitto -c "$folder/conf" >"$folder/log" 2>&1 &
  mosquitto=$!
  trap 'kill "$mosquitto" 2>/dev/null; rm -rf "$scratch"' EXIT
  for ((tries = 0; tries < 100; tries++)); do
    if mosquitto_pub -h "$HOST" -p "$other_port" -t interop/ready -m x 2>/dev/null; then return; fi
    sleep 0.05
  done
  echo "FAIL ternmq: mosquitto does not start: $(tail -n 3 "$folder/log" | tr '\n' ' ')"
}

# listen FILE ARGUMENT...: a `ternmq sub` in the background; returns when it is subscribed.
listen() {
  "$TERNMQ" sub --verbose --timeout 10s "${@:2}" >"$1" 2>"$1.err" &
  listener=$!
  await "$1.err" 'subscribed to'
}

# numbered VERSION: as mosquitto's clients call it.
numbered() { if [[ $1 == 5 ]]; then echo mqttv5; else echo mqttv311; fi; }

code() {
  local wanted=$1 status=0
  shift
  "$@" >output 2>&1 || status=$?
  equal "$wanted" "$status" || { cat output; return 1; }
}

hears_mosquitto_pub() {
  local topic=interop/$run_id/heard/$1/$2
  listen seen "$topic" --mqtt "$1" --qos "$2" --count 1 --format '{topic} q{qos} r{retain} {body}'
  mosquitto_pub -h "$HOST" -p "$MQTT_PORT" -V "$(numbered "$1")" -t "$topic" -q "$2" -m "body of $2"
  wait "$listener"
  equal "$topic q$2 r0 body of $2" "$(cat seen)"
}

is_heard_by_mosquitto_sub() {
  local topic=interop/$run_id/said/$1/$2
  stdbuf -oL mosquitto_sub -h "$HOST" -p "$MQTT_PORT" -V "$(numbered "$1")" -t "$topic" -q "$2" -C 1 -W 10 \
    -F '%t q%q r%r %p' -d >seen 2>&1 &
  listener=$!
  await seen 'Subscribed \(mid'
  "$TERNMQ" pub "$topic" "body of $2" --mqtt "$1" --qos "$2"
  wait "$listener"
  equal "$topic q$2 r0 body of $2" "$(grep "^$topic" seen)"
}

properties_reach_mosquitto_sub() {
  local topic=interop/$run_id/properties
  stdbuf -oL mosquitto_sub -h "$HOST" -p "$MQTT_PORT" -V mqttv5 -t "$topic" -q 1 -C 1 -W 10 -d \
    -F 'MSG %C|%R|%D|%P|%p' >seen 2>&1 &
  listener=$!
  await seen 'Subscribed \(mid'
  "$TERNMQ" pub "$topic" body --content-type text/plain --response-topic answers --correlation c-1 \
    --prop colour=red
  wait "$listener"
  equal 'MSG text/plain|answers|c-1|colour:red|body' "$(grep '^MSG' seen)"
}

delivers() {
  local topic=interop/$run_id/$1/$2
  listen seen "$topic" --mqtt "$1" --qos "$2" --count 1 --format '{topic} q{qos} {body}'
  "$TERNMQ" pub "$topic" "body of $2" --mqtt "$1" --qos "$2"
  wait "$listener"
  equal "$topic q$2 body of $2" "$(cat seen)"
}

keeps_order() {
  local topic=interop/$run_id/$1/$2/order
  listen seen "$topic" --mqtt "$1" --qos "$2" --count 5000 --format '{body}'
  seq 1 5000 | "$TERNMQ" pub "$topic" --lines --mqtt "$1" --qos "$2"
  wait "$listener"
  cmp <(seq 1 5000) seen
}

resumes_a_session() {
  local topic=interop/$run_id/$1/session
  local -a session=("$topic" --mqtt "$1" --id "cli-$1-$run_id" --session-expiry 1h)
  "$TERNMQ" sub "${session[@]}" --count 0
  head -c 1048576 /dev/urandom >sent
  "$TERNMQ" pub "$topic" --file sent --mqtt "$1"
  "$TERNMQ" pub "$topic" second --mqtt "$1"
  "$TERNMQ" sub "${session[@]}" --format '{body}\c' --count 1 --timeout 10s >seen
  cmp sent seen
  equal second "$("$TERNMQ" sub "${session[@]}" --count 1 --timeout 10s --format '{body}')"
}

retains() {
  local topic=interop/$run_id/$1/retained
  "$TERNMQ" pub "$topic" old --retain --mqtt "$1"
  "$TERNMQ" pub "$topic" new --retain --mqtt "$1"
  equal 'new 1' "$("$TERNMQ" sub "$topic" --mqtt "$1" --count 1 --timeout 10s --format '{body} {retain}')"
  "$TERNMQ" pub "$topic" --empty --retain --mqtt "$1"
  equal '' "$("$TERNMQ" sub "$topic" --mqtt "$1" --idle 300ms)"
}

shares() {
  local topic=interop/$run_id/shared first
  listen one "\$share/group/$topic" --count 4 --format '{body}'
  first=$listener
  listen two "\$share/group/$topic" --count 4 --format '{body}'
  seq 1 8 | "$TERNMQ" pub "$topic" --lines
  wait "$first" "$listener"
  equal '1 2 3 4 5 6 7 8' "$(sort one two | xargs)"
}

asks_who_it_is() {
  local -a server=(--url "mqtt://$HOST:$locked_port" --mqtt "$1")
  local topic=interop/$run_id/locked
  code 3 "$TERNMQ" pub "$topic" x "${server[@]}"
  grep -q 'hint: ' output
  code 3 env TERNMQ_PASSWORD=wrong "$TERNMQ" pub "$topic" x "${server[@]}" --user ann
  code 0 env TERNMQ_PASSWORD=s3cret "$TERNMQ" pub "$topic" x "${server[@]}" --user ann
  echo s3cret >password
  code 0 "$TERNMQ" pub "$topic" x "${server[@]}" --user ann --password-file password
}

is_not_allowed() {
  local -a server=(--url "mqtt://ann:s3cret@$HOST:$locked_port")
  code 3 "$TERNMQ" pub closed x "${server[@]}"
  grep -q 'not authorized (0x87)' output
}

# With AMQP on one side, and mosquitto's clients on the other: MQTT's a/b is AMQP's a.b.
amqp() { TERNMQ_URL=amqp://$HOST:$AMQP_PORT "$TERNMQ" "$@"; }

amqp_sub_hears_mosquitto_pub() {
  amqp sub --verbose "interop.$run_id.heard" --topic --timeout 10s --count 1 --format '{topic} {body}' >seen 2>said &
  listener=$!
  await said 'subscribed to'
  mosquitto_pub -h "$HOST" -p "$MQTT_PORT" -t "interop/$run_id/heard" -q 1 -m 21.5
  wait "$listener"
  equal "interop.$run_id.heard 21.5" "$(cat seen)"
}

mosquitto_sub_hears_amqp_pub() {
  stdbuf -oL mosquitto_sub -h "$HOST" -p "$MQTT_PORT" -t "interop/$run_id/said" -q 1 -C 1 -W 10 -d -F 'MSG %p' \
    >seen 2>&1 &
  listener=$!
  await seen 'Subscribed \(mid'
  amqp pub "interop.$run_id.said" 21.5 --topic
  wait "$listener"
  equal 'MSG 21.5' "$(grep '^MSG' seen)"
}

amqp_keeps_order() {
  local queue=interop.$run_id.order
  seq 1 5000 | amqp pub "$queue" --lines --queue
  amqp sub "$queue" --queue --count 5000 --timeout 10s --format '{body}' >seen
  cmp <(seq 1 5000) seen
}

amqp_carries_a_large_body() {
  local queue=interop.$run_id.large
  head -c 1048576 /dev/urandom >sent
  amqp pub "$queue" --file sent --queue
  amqp sub "$queue" --queue --count 1 --timeout 10s --format '{body}\c' >seen
  cmp sent seen
}

if [[ ! -x ${TERNMQ-} ]]; then
  echo "FAIL ternmq: ${TERNMQ-the binary} is missing: cargo build --release"
  exit
fi
versions=(3)
if served mqtt5; then
  versions+=(5)
  check "5: properties reach mosquitto_sub" properties_reach_mosquitto_sub
fi
levels=(0 1)
if served qos2; then levels+=(2); fi
for version in "${versions[@]}"; do
  for qos in "${levels[@]}"; do
    check "$version: sub hears mosquitto_pub at QoS $qos" hears_mosquitto_pub "$version" "$qos"
    check "$version: mosquitto_sub hears pub at QoS $qos" is_heard_by_mosquitto_sub "$version" "$qos"
  done
done

if [[ -n ${AMQP_PORT-} ]]; then
  check "AMQP: sub hears mosquitto_pub" amqp_sub_hears_mosquitto_pub
  check "AMQP: mosquitto_sub hears pub" mosquitto_sub_hears_amqp_pub
  check "AMQP: 5,000 lines keep their order through a queue" amqp_keeps_order
  check "AMQP: a MiB arrives whole" amqp_carries_a_large_body
fi

broker
export TERNMQ_URL=mqtt://$HOST:$other_port
for version in 3 5; do
  for qos in 0 1 2; do
    check "mosquitto, $version: QoS $qos is delivered" delivers "$version" "$qos"
  done
  check "mosquitto, $version: 5,000 lines keep their order at QoS 1" keeps_order "$version" 1
  check "mosquitto, $version: 5,000 lines keep their order at QoS 2" keeps_order "$version" 2
  check "mosquitto, $version: a session brings what came meanwhile" resumes_a_session "$version"
  check "mosquitto, $version: a retained value is set and cleared" retains "$version"
  check "mosquitto, $version: a login that is wrong is code 3" asks_who_it_is "$version"
done
check "mosquitto, 5: a topic that is not allowed is code 3" is_not_allowed
check "mosquitto, 5: a shared subscription splits the messages" shares
