"""paho-mqtt (Python): MQTT 3.1.1 and 5.0 over TCP and WebSocket."""

import os
import queue
import socket
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST = os.environ.get("HOST", "127.0.0.1")
ENDPOINTS = [
    (name, transport, int(os.environ[variable]))
    for name, transport, variable in [
        ("TCP", "tcp", "MQTT_PORT"),
        ("WebSocket /mqtt", "websockets", "HTTP_PORT"),
    ]
    if os.environ.get(variable)
]
VERSIONS = {"3.1.1": mqtt.MQTTv311, "5.0": mqtt.MQTTv5}
WAIT = 10  # seconds until something that must come is given up
QUIET = 0.3  # seconds in which nothing may come


def fresh(stem):
    """A name that no other case uses."""
    return f"paho-{stem}-{uuid.uuid4().hex[:8]}"


def properties(packet, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Client:
    """A connection with what came in, in order."""

    def __init__(self, endpoint, version, name="", kept=False, will=None):
        _, transport, port = endpoint
        five = version == "5.0"
        self.messages = queue.Queue()
        self.granted = queue.Queue()
        self.connected = queue.Queue()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            name,
            clean_session=None if five else not kept,
            protocol=VERSIONS[version],
            transport=transport,
            reconnect_on_failure=False,
        )
        self.client.on_connect = lambda _c, _u, flags, reason, _p: self.connected.put((flags, reason))
        self.client.on_subscribe = lambda _c, _u, _id, reasons, _p: self.granted.put(reasons)
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        if will:
            self.client.will_set(will, "gone", qos=1)
        expiry = {"SessionExpiryInterval": 3600} if kept else {}
        options = {
            "clean_start": not kept,
            "properties": properties(PacketTypes.CONNECT, **expiry),
        }
        self.client.connect(HOST, port, **(options if five else {}))
        self.client.loop_start()
        flags, reason = self.connected.get(timeout=WAIT)
        assert not reason.is_failure, reason
        self.session_present = flags.session_present

    def subscribe(self, topic, qos, **options):
        self.client.subscribe(topic, qos, **options)
        [reason] = self.granted.get(timeout=WAIT)
        assert reason.value == qos, reason

    def publish(self, topic, body, qos, **options):
        """Returns when it is acknowledged; at QoS 0, when it is written."""
        told = self.client.publish(topic, body, qos, **options)
        told.wait_for_publish(WAIT)
        assert told.is_published(), f"no acknowledgement of {topic}"

    def take(self):
        return self.messages.get(timeout=WAIT)

    def nothing_more(self):
        try:
            message = self.messages.get(timeout=QUIET)
        except queue.Empty:
            return
        raise AssertionError(f"an unexpected message: {message.payload}")

    def cut(self):
        """The connection ends without DISCONNECT."""
        with socket.socket(fileno=os.dup(self.client.socket().fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


def delivers_each_qos(endpoint, version):
    topic = fresh("qos")
    subscriber, publisher = Client(endpoint, version), Client(endpoint, version)
    subscriber.subscribe(f"{topic}/+", 2)
    for qos in (0, 1, 2):
        publisher.publish(f"{topic}/{qos}", f"body {qos}", qos)
        message = subscriber.take()
        seen = (message.topic, message.payload.decode(), message.qos, message.retain)
        assert seen == (f"{topic}/{qos}", f"body {qos}", qos, False), seen
    subscriber.nothing_more()
    subscriber.leave()
    publisher.leave()


def keeps_the_retained_value(endpoint, version):
    topic = fresh("retained")
    client = Client(endpoint, version)
    client.publish(topic, "old", 1, retain=True)
    client.publish(topic, "new", 2, retain=True)
    client.subscribe(topic, 1)
    message = client.take()
    assert (message.payload, message.retain) == (b"new", True), (message.payload, message.retain)
    client.publish(topic, None, 1, retain=True)
    assert client.take().payload == b""
    other = Client(endpoint, version)
    other.subscribe(topic, 1)
    other.nothing_more()
    client.leave()
    other.leave()


def publishes_the_will_of_a_lost_client(endpoint, version):
    topic = fresh("will")
    watcher = Client(endpoint, version)
    watcher.subscribe(topic, 1)
    Client(endpoint, version, will=topic).leave()
    watcher.nothing_more()
    Client(endpoint, version, will=topic).cut()
    assert watcher.take().payload == b"gone"
    watcher.leave()


def resumes_a_session(endpoint, version):
    topic, name = fresh("resume"), fresh("session")
    publisher = Client(endpoint, version)
    first = Client(endpoint, version, name, kept=True)
    assert not first.session_present
    first.subscribe(topic, 2)
    first.cut()
    for qos in (1, 2):
        publisher.publish(topic, f"{qos}", qos)
    again = Client(endpoint, version, name, kept=True)
    assert again.session_present
    seen = [(message.payload.decode(), message.qos) for message in (again.take(), again.take())]
    assert seen == [("1", 1), ("2", 2)], seen
    again.nothing_more()
    again.leave()
    publisher.leave()


def keeps_order(endpoint, version):
    topic = fresh("order")
    client = Client(endpoint, version)
    client.subscribe(topic, 2)
    for number in range(500):
        client.client.publish(topic, str(number), 1 + number % 2)
    seen = [(message.qos, int(message.payload)) for message in (client.take() for _ in range(500))]
    # The client hands on a QoS 2 message when it is released, so QoS 1 may overtake it there.
    for qos in (1, 2):
        assert [number for level, number in seen if level == qos] == list(range(qos - 1, 500, 2)), seen
    client.leave()


def passes_properties(endpoint, version):
    topic = fresh("properties")
    client = Client(endpoint, version)
    number = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=7)
    client.subscribe(topic, 1, properties=number)
    sent = properties(
        PacketTypes.PUBLISH,
        ContentType="application/json",
        ResponseTopic="answers",
        CorrelationData=b"\x01\x00\x02",
        MessageExpiryInterval=3600,
        UserProperty=[("colour", "red"), ("colour", "blue")],
    )
    client.publish(topic, "{}", 1, properties=sent)
    seen = client.take().properties
    assert seen.ContentType == "application/json", seen
    assert seen.ResponseTopic == "answers", seen
    assert seen.CorrelationData == b"\x01\x00\x02", seen
    assert 3590 <= seen.MessageExpiryInterval <= 3600, seen
    assert seen.UserProperty == [("colour", "red"), ("colour", "blue")], seen
    assert seen.SubscriptionIdentifier == [7], seen
    client.leave()


def check(endpoint, version, name, case):
    title = f"paho_mqtt: {endpoint[0]}, {version}: {name}"
    try:
        case(endpoint, version)
        print(f"ok {title}", flush=True)
    except Exception as error:  # a case fails by whatever it raises
        reason = " ".join(f"{type(error).__name__} {error}".split())[:300]
        print(f"FAIL {title}: {reason}", flush=True)


CASES = [
    (VERSIONS, "QoS 0, 1, 2 are delivered", delivers_each_qos),
    (VERSIONS, "a retained value is kept until it is emptied", keeps_the_retained_value),
    (VERSIONS, "the will of a lost client is published", publishes_the_will_of_a_lost_client),
    (VERSIONS, "a session resumes after a cut", resumes_a_session),
    (VERSIONS, "500 messages keep their order in each QoS", keeps_order),
    (("5.0",), "properties pass through", passes_properties),
]

for endpoint in ENDPOINTS:
    for versions, name, case in CASES:
        for version in versions:
            check(endpoint, version, name, case)
os._exit(0)  # a client that a failed case left open must not hold the driver
