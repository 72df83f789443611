#!/usr/bin/env bash
# curl: the REST interface, health and metrics.
source "$(dirname "$0")/lib.sh"

base=http://$HOST:$HTTP_PORT

# call METHOD PATH [CURL OPTION...]: leaves the status in $status, headers and body in files.
call() {
  local method=$1 path=$2
  shift 2
  status=$(curl --silent --show-error --max-time 20 --path-as-is -X "$method" -D headers -o body \
    -w '%{http_code}' "$@" "$base$path")
}

# header NAME: its value in the last answer.
header() { grep -i "^$1:" headers | head -n 1 | cut -d' ' -f2- | tr -d '\r'; }

# expect STATUS METHOD PATH [CURL OPTION...]
expect() {
  local wanted=$1
  shift
  : >body
  call "$@"
  [[ $status == "$wanted" ]] || { echo "$1 $2: wanted $wanted, got $status: $(head -c 200 body)"; return 1; }
}

# problem STATUS SLUG METHOD PATH [CURL OPTION...]: a problem document that says so.
problem() {
  local wanted=$1 slug=$2
  shift 2
  expect "$wanted" "$@"
  matches '^application/problem\+json' "$(header content-type)"
  jq -e --arg type "urn:ternmq:problem:$slug" --argjson status "$wanted" \
    '.type == $type and .status == $status and (.title | length > 0)' body >/dev/null ||
    { echo "not the problem $slug: $(head -c 300 body)"; return 1; }
}

queue() { echo "/v1/queues/curl-$run_id-$1"; }

publishes() {
  local path
  path=$(queue publish)/messages
  expect 201 POST "$path" -H 'Content-Type: text/plain' --data-binary 'hello'
  matches '.' "$(header tmq-message-id)"
  local first
  first=$(header tmq-message-id)
  expect 201 POST "$path" --data-binary 'again'
  [[ $first != "$(header tmq-message-id)" ]]
}

receives_and_acks() {
  local path lease
  path=$(queue ack)
  expect 201 POST "$path/messages" -H 'Content-Type: application/json' \
    -H 'Tmq-Correlation-Id: c-1' -H 'Tmq-Properties: {"Color":"red","n":5}' --data-binary '{"a":1}'
  expect 200 POST "$path/receive?wait=5s&lease=30s"
  equal '{"a":1}' "$(cat body)"
  equal application/json "$(header content-type)"
  equal c-1 "$(header tmq-correlation-id)"
  equal 'red 5' "$(header tmq-properties | jq -r '"\(.Color) \(.n)"')"
  lease=$(header tmq-lease)
  matches '.' "$(header tmq-lease-expires)"
  equal "/v1/leases/$lease" "$(header location)"
  expect 204 DELETE "/v1/leases/$lease"
  expect 204 DELETE "/v1/leases/$lease"
  expect 204 POST "$path/receive?wait=0s"
}

waits_for_a_message() {
  local path waiter begin=$SECONDS
  path=$(queue wait)
  curl --silent --max-time 20 -X POST -o late "$base$path/receive?wait=10s&ack=auto" &
  waiter=$!
  sleep 0.3 # so that most runs meet the waiting receive; either way the message must arrive
  expect 201 POST "$path/messages" --data-binary late
  wait "$waiter"
  equal late "$(cat late)"
  ((SECONDS - begin < 5))
}

answers_204_when_the_wait_ends() {
  local path
  path=$(queue empty)
  expect 201 POST "$path/messages" --data-binary only
  expect 200 POST "$path/receive?lease=30s"
  expect 204 POST "$path/receive?wait=200ms"
}

nack_gives_it_back() {
  local path
  path=$(queue nack)
  expect 201 POST "$path/messages" --data-binary again
  expect 200 POST "$path/receive?lease=30s"
  local first
  first=$(header tmq-delivery-count)
  expect 204 POST "/v1/leases/$(header tmq-lease)/nack" -H 'Content-Type: application/json' -d '{}'
  expect 200 POST "$path/receive?wait=5s&lease=30s"
  equal again "$(cat body)"
  equal $((first + 1)) "$(header tmq-delivery-count)"
}

nack_can_delay() {
  local path
  path=$(queue delay)
  expect 201 POST "$path/messages" --data-binary later
  expect 200 POST "$path/receive?lease=30s"
  expect 204 POST "/v1/leases/$(header tmq-lease)/nack" -H 'Content-Type: application/json' -d '{"delay":"1500ms"}'
  expect 204 POST "$path/receive?wait=300ms"
  expect 200 POST "$path/receive?wait=5s&lease=30s"
}

extends_a_lease() {
  local path lease
  path=$(queue extend)
  expect 201 POST "$path/messages" --data-binary long
  expect 200 POST "$path/receive?lease=1s"
  lease=$(header tmq-lease)
  expect 200 PATCH "/v1/leases/$lease" -H 'Content-Type: application/json' -d '{"lease":"60s"}'
  expect 204 POST "$path/receive?wait=2s"
  expect 204 DELETE "/v1/leases/$lease"
}

a_lease_runs_out() {
  local path lease
  path=$(queue expire)
  expect 201 POST "$path/messages" --data-binary back
  expect 200 POST "$path/receive?lease=1s"
  lease=$(header tmq-lease)
  expect 200 POST "$path/receive?wait=5s&lease=30s"
  equal back "$(cat body)"
  problem 410 lease-gone PATCH "/v1/leases/$lease" -H 'Content-Type: application/json' -d '{"lease":"60s"}'
}

settles_and_fetches() {
  local path lease
  path=$(queue batch)
  for n in 1 2 3; do expect 201 POST "$path/messages" -H 'Content-Type: text/plain' --data-binary "$n"; done
  expect 200 POST "$path/receive?max=2&lease=30s" -H 'Accept: application/json'
  equal '1 2' "$(jq -r '[.messages[].body] | join(" ")' body)"
  lease=$(jq -r '.messages[0].lease' body)
  expect 200 POST /v1/leases:settle -H 'Content-Type: application/json' \
    -d "$(jq '{ack: [.messages[].lease]}' body)"
  equal 2 "$(jq '.results | length' body)"
  expect 200 POST "$path/receive?max=10&lease=30s" -H 'Accept: application/x-ndjson'
  equal 3 "$(jq -r .body body)"
}

keeps_bytes() {
  local path
  path=$(queue bytes)
  head -c 1000000 /dev/urandom >sent
  expect 201 POST "$path/messages" -H 'Content-Type: application/octet-stream' --data-binary @sent
  expect 200 POST "$path/receive?ack=auto"
  cmp sent body
}

takes_chunked_bodies() {
  local path
  path=$(queue chunked)
  seq 1 20000 >sent
  expect 201 POST "$path/messages" -H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue' --data-binary @sent
  expect 200 POST "$path/receive?ack=auto"
  cmp sent body
}

decodes_names_once() {
  expect 201 POST "/v1/queues/curl-$run_id%2Fslash%20blank/messages" --data-binary name
  expect 200 POST "/v1/queues/curl-$run_id%2Fslash%20blank/receive?ack=auto"
  equal name "$(cat body)"
}

topic_without_subscriber() {
  expect 201 POST "/v1/topics/curl-$run_id-nobody/messages" --data-binary unheard
  equal 0 "$(header tmq-routed)"
}

# The settings of the run forbid to create anything below closed.
no_such_queue() {
  problem 404 no-destination POST "/v1/queues/closed.$run_id/receive"
  problem 404 no-destination POST "/v1/queues/closed.$run_id/messages" --data-binary x
}

forged_lease() { problem 410 lease-gone DELETE /v1/leases/bm9uc2Vuc2U; }

wrong_metadata() {
  problem 422 bad-metadata POST "$(queue metadata)/messages" -H 'Tmq-Priority: high' --data-binary x
}

wrong_envelope() {
  problem 400 malformed POST "$(queue envelope)/messages" \
    -H 'Content-Type: application/vnd.ternmq.message+json' --data-binary '{"body"'
}

too_large() {
  head -c 20000000 /dev/zero >sent
  problem 413 too-large POST "$(queue large)/messages" --data-binary @sent
}

root_lists_endpoints() {
  expect 200 GET /
  matches '^text/plain' "$(header content-type)"
  matches /v1 "$(cat body)"
  matches /metrics "$(cat body)"
}

health_and_metrics() {
  expect 200 GET /livez
  expect 200 GET /readyz
  expect 200 GET /metrics
  matches '^text/plain' "$(header content-type)"
  matches '# TYPE ternmq_' "$(cat body)"
}

get_never_consumes() { expect 405 GET "$(queue get)/receive"; }

check "POST publishes and names the message" publishes
check "receive with a lease, DELETE acks, again too" receives_and_acks
check "receive waits for a message" waits_for_a_message
check "receive answers 204 when its wait ends" answers_204_when_the_wait_ends
check "nack gives the message back, counted" nack_gives_it_back
check "nack can delay" nack_can_delay
check "PATCH extends a lease" extends_a_lease
check "a lease runs out" a_lease_runs_out
check "several messages, settled in one call" settles_and_fetches
check "a megabyte comes back unchanged" keeps_bytes
check "chunked uploads and Expect: 100-continue" takes_chunked_bodies
check "a name is decoded once" decodes_names_once
check "a topic without subscriber says so" topic_without_subscriber
check "problem: no such queue" no_such_queue
check "problem: a forged lease" forged_lease
check "problem: wrong metadata" wrong_metadata
check "problem: a broken envelope" wrong_envelope
check "problem: too large" too_large
check "receive by GET is refused" get_never_consumes
check "the root lists the endpoints" root_lists_endpoints
check "health and metrics" health_and_metrics
