#!/usr/bin/env bash
# Qpid JMS (Java): the program of examples/jms, then cases over TCP and WebSocket.
source "$(dirname "$0")/lib.sh"

example() {
  java -cp "$JMS_CLIENT/*" "$JMS_EXAMPLE" "amqp://$HOST:$AMQP_PORT" >seen
  equal 5 "$(wc -l <seen)"
}

check "the example does what it says" example
endpoints=(TCP "amqp://$HOST:$AMQP_PORT")
if [[ -n ${HTTP_PORT-} ]]; then
  endpoints+=("WebSocket /amqp" "amqpws://$HOST:$HTTP_PORT/amqp")
fi
java -cp "$JMS_CLIENT/*" "$(dirname "$0")/QpidJms.java" "${endpoints[@]}"
