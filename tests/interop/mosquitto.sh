#!/usr/bin/env bash
# mosquitto_pub, mosquitto_sub and mosquitto_rr (C): MQTT 3.1.1 and 5.0 over TCP.
source "$(dirname "$0")/lib.sh"

pub() { mosquitto_pub -h "$HOST" -p "$MQTT_PORT" "$@"; }

# listen FILE COUNT [OPTION...]: a subscriber in the background that ends after COUNT messages;
# returns when it is subscribed. Lines of messages begin with MSG.
listen() {
  local file=$1 count=$2
  shift 2
  stdbuf -oL mosquitto_sub -h "$HOST" -p "$MQTT_PORT" -d -C "$count" -W 10 \
    -F 'MSG %t q%q r%r %p' "$@" >"$file" 2>&1 &
  listener=$!
  await "$file" 'Subscribed \(mid'
}

# messages FILE: what its subscriber printed.
messages() { grep '^MSG ' "$1" | cut -d' ' -f2-; }

# offline VERSION OPTION...: makes a persistent session that subscribes, and leaves it.
offline() { persistent "$1" -E "${@:2}"; }

# resume VERSION COUNT OPTION...: takes that many messages of such a session.
resume() { persistent "$1" -C "$2" -W 10 "${@:3}"; }

persistent() {
  local -a expiry=()
  if [[ $1 == mqttv5 ]]; then expiry=(-x 3600); fi
  mosquitto_sub -h "$HOST" -p "$MQTT_PORT" -V "$1" -c -q 1 "${expiry[@]}" "${@:2}"
}

delivers() {
  listen seen 1 -V "$1" -t "interop/$run_id/$1/q$2" -q "$2"
  pub -V "$1" -t "interop/$run_id/$1/q$2" -q "$2" -m "body of $2"
  wait "$listener"
  equal "interop/$run_id/$1/q$2 q$2 r0 body of $2" "$(messages seen)"
}

lower_qos_wins() {
  listen seen 1 -V "$1" -t "interop/$run_id/$1/granted" -q 0
  pub -V "$1" -t "interop/$run_id/$1/granted" -q 1 -m down
  wait "$listener"
  equal "interop/$run_id/$1/granted q0 r0 down" "$(messages seen)"
}

keeps_order() {
  listen seen 1000 -V "$1" -t "interop/$run_id/$1/order" -q 1
  seq 1 1000 | pub -V "$1" -t "interop/$run_id/$1/order" -q 1 -l
  wait "$listener"
  equal "$(seq 1 1000)" "$(messages seen | cut -d' ' -f4)"
}

carries_a_mebibyte() {
  local topic=interop/$run_id/$1/large
  local -a session=(-i "large-$1-$run_id" -t "$topic")
  head -c 1048576 /dev/urandom >sent
  offline "$1" "${session[@]}"
  pub -V "$1" -t "$topic" -q 1 -f sent
  resume "$1" 1 "${session[@]}" -N >seen
  cmp seen sent
}

retains() {
  local topic=interop/$run_id/$1/retained
  pub -V "$1" -t "$topic" -q 1 -r -m old
  pub -V "$1" -t "$topic" -q 1 -r -m new
  listen seen 1 -V "$1" -t "$topic" -q 1
  wait "$listener"
  equal "$topic q1 r1 new" "$(messages seen)"
}

forgets_an_emptied_retained_value() {
  local topic=interop/$run_id/$1/cleared
  pub -V "$1" -t "$topic" -q 1 -r -m value
  pub -V "$1" -t "$topic" -q 1 -r -n
  listen seen 1 -V "$1" -t "$topic" -q 1
  pub -V "$1" -t "$topic" -q 1 -m live
  wait "$listener"
  equal "$topic q1 r0 live" "$(messages seen)"
}

queues_while_offline() {
  local topic=interop/$run_id/$1/offline
  local -a session=(-i "offline-$1-$run_id" -t "$topic")
  offline "$1" "${session[@]}"
  for n in 1 2 3; do pub -V "$1" -t "$topic" -q 1 -m "$n"; done
  resume "$1" 3 "${session[@]}" >seen
  equal "1 2 3" "$(xargs <seen)"
}

matches_wildcards() {
  local base=interop/$run_id/$1/wild
  listen seen 3 -V "$1" -t "$base/+/temperature" -t "$base/cellar/#" -q 1
  pub -V "$1" -t "$base/attic/humidity" -q 1 -m none
  pub -V "$1" -t "$base/attic/temperature" -q 1 -m plus
  pub -V "$1" -t "$base/cellar" -q 1 -m parent
  pub -V "$1" -t "$base/cellar/a/b" -q 1 -m hash
  wait "$listener"
  equal "plus parent hash" "$(messages seen | cut -d' ' -f4 | xargs)"
}

shares_a_subscription() {
  local topic=interop/$run_id/shared first tries
  listen one 8 -V mqttv5 -t "\$share/group/$topic" -q 1
  first=$listener
  listen two 8 -V mqttv5 -t "\$share/group/$topic" -q 1
  for n in 1 2 3 4 5 6 7 8; do pub -V mqttv5 -t "$topic" -q 1 -m "$n"; done
  for ((tries = 0; tries < 100; tries++)); do
    if (($(cat one two | grep -c '^MSG ') >= 8)); then break; fi
    sleep 0.05
  done
  kill "$first" "$listener"
  equal "1 2 3 4 5 6 7 8" "$(grep -h '^MSG ' one two | cut -d' ' -f5 | sort | xargs)"
}

passes_properties() {
  local topic=interop/$run_id/properties
  listen seen 1 -V mqttv5 -t "$topic" -q 1 -F 'MSG %C|%R|%D|%P|%p'
  pub -V mqttv5 -t "$topic" -q 1 -m body -D publish content-type text/plain \
    -D publish response-topic answers -D publish correlation-data c-1 -D publish user-property colour red
  wait "$listener"
  equal 'text/plain|answers|c-1|colour:red|body' "$(messages seen)"
}

# mosquitto_rr asks with a response topic and correlation data, and ends with the answer.
answers_a_request() {
  local topic=interop/$run_id/request answer=interop/$run_id/answer asker
  listen seen 1 -V mqttv5 -t "$topic" -q 1 -F 'MSG %R|%D|%p'
  mosquitto_rr -h "$HOST" -p "$MQTT_PORT" -V 5 -t "$topic" -e "$answer" -q 1 -m question -W 10 \
    -D publish correlation-data c-1 >answered &
  asker=$!
  wait "$listener"
  equal "$answer|c-1|question" "$(messages seen)"
  pub -V mqttv5 -t "$answer" -q 1 -m answer -D publish correlation-data c-1
  wait "$asker"
  equal answer "$(cat answered)"
}

versions=(mqttv311)
if served mqtt5; then
  versions+=(mqttv5)
  check "mqttv5: properties pass through" passes_properties
  check "mqttv5: a request of mosquitto_rr is answered" answers_a_request
fi
levels=(0 1)
if served qos2; then levels+=(2); fi
if served shared; then check "a shared subscription splits the messages" shares_a_subscription; fi

for qos in "${levels[@]}"; do
  check "mqttv31: QoS $qos is delivered" delivers mqttv31 "$qos"
done
for version in "${versions[@]}"; do
  for qos in "${levels[@]}"; do
    check "$version: QoS $qos is delivered" delivers "$version" "$qos"
  done
  check "$version: a lower granted QoS wins" lower_qos_wins "$version"
  check "$version: 1,000 messages keep their order" keeps_order "$version"
  check "$version: a body of 1 MiB arrives whole" carries_a_mebibyte "$version"
  check "$version: the newest retained value comes first" retains "$version"
  check "$version: an empty retained message clears the value" forgets_an_emptied_retained_value "$version"
  check "$version: a persistent session queues while offline" queues_while_offline "$version"
  check "$version: + and # match, and nothing else comes" matches_wildcards "$version"
done
