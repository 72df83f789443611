"""stomp.py (Python): STOMP 1.0, 1.1 and 1.2 over TCP."""

import os
import queue
import threading
import uuid

import stomp

HOST = os.environ.get("HOST", "127.0.0.1")
PORT = int(os.environ["STOMP_PORT"])
CONNECTIONS = {
    "1.0": stomp.StompConnection10,
    "1.1": stomp.StompConnection11,
    "1.2": stomp.StompConnection12,
}
WAIT = 10  # seconds until something that must come is given up
QUIET = 0.3  # seconds in which nothing may come


def fresh(kind):
    """A destination of this kind that no other case uses."""
    return f"/{kind}/stomp-py-{uuid.uuid4().hex[:8]}"


class Client(stomp.ConnectionListener):
    """A connection with what came in, in order."""

    def __init__(self, version, **options):
        self.version = version
        self.messages = queue.Queue()
        self.errors = queue.Queue()
        self.receipts = queue.Queue()
        self.connected = queue.Queue()
        self.beats = 0
        self.gone = threading.Event()
        self.connection = CONNECTIONS[version](
            [(HOST, PORT)], reconnect_attempts_max=1, try_loopback_connect=False, **options
        )
        self.connection.set_listener("case", self)
        self.connection.connect("user", "password", wait=True)
        self.headers = self.connected.get(timeout=WAIT)

    def on_connected(self, frame):
        self.connected.put(frame.headers)

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_heartbeat(self):
        self.beats += 1

    def on_disconnected(self):
        self.gone.set()

    def receipt(self, wanted):
        seen = self.receipts.get(timeout=WAIT)
        assert seen == wanted, f"receipt {seen} instead of {wanted}"

    def subscribe(self, destination, ack="auto"):
        self.connection.subscribe(destination, id="s1", ack=ack, receipt="subscribed")
        self.receipt("subscribed")

    def send(self, destination, body, **headers):
        self.connection.send(destination, body, receipt="sent", **headers)
        self.receipt("sent")

    def take(self, count):
        return [self.messages.get(timeout=WAIT) for _ in range(count)]

    def ack(self, frame, call="ack"):
        """Settles with a receipt, in the words of this version."""
        settle = getattr(self.connection, call)
        if self.version == "1.2":
            settle(frame.headers["ack"], receipt=call)
        elif self.version == "1.1":
            settle(frame.headers["message-id"], "s1", receipt=call)
        else:
            settle(frame.headers["message-id"], receipt=call)
        self.receipt(call)

    def leave(self):
        """DISCONNECT; returns when its receipt has come and the socket is closed."""
        self.connection.disconnect(receipt="left")
        self.receipt("left")
        assert self.gone.wait(WAIT), "the socket stays open"


def bodies(frames):
    return [frame.body for frame in frames]


def nothing_more(client):
    try:
        frame = client.messages.get(timeout=QUIET)
    except queue.Empty:
        return
    raise AssertionError(f"an unexpected message: {frame.body}")


def connects_in_its_version(version):
    client = Client(version)
    assert client.headers.get("version", "1.0") == version, client.headers
    assert client.headers["server"].startswith("TernMQ/"), client.headers
    client.leave()


def delivers_from_a_queue(version):
    destination = fresh("queue")
    client = Client(version)
    client.send(destination, "first", colour="red", **{"content-type": "text/plain"})
    client.send(destination, "second", persistent="true")
    client.subscribe(destination)
    first, second = client.take(2)
    assert bodies([first, second]) == ["first", "second"], bodies([first, second])
    assert first.headers["destination"] == destination, first.headers
    assert first.headers["colour"] == "red", first.headers
    assert first.headers["content-type"] == "text/plain", first.headers
    assert first.headers["content-length"] == "5", first.headers
    assert first.headers["subscription"] == "s1", first.headers
    assert first.headers["message-id"] != second.headers["message-id"]
    assert "receipt" not in first.headers and "ack" not in first.headers, first.headers
    client.leave()


def escapes_headers(version):
    destination = fresh("queue")
    client = Client(version)
    client.send(destination, "ü", key="a:b\\c\nd", wide="日本")
    client.subscribe(destination)
    [frame] = client.take(1)
    assert frame.headers["key"] == "a:b\\c\nd", frame.headers
    assert frame.headers["wide"] == "日本", frame.headers
    assert frame.body == "ü" and frame.headers["content-length"] == "2", frame.headers
    client.leave()


def client_individual_acks_one(version):
    destination = fresh("queue")
    client = Client(version)
    for body in "123":
        client.send(destination, body)
    client.subscribe(destination, ack="client-individual")
    frames = client.take(3)
    client.ack(frames[1])
    client.leave()
    other = Client(version)
    other.subscribe(destination)
    again = other.take(2)
    assert bodies(again) == ["1", "3"], bodies(again)
    # A polite goodbye counts as no attempt.
    assert all(frame.headers.get("redelivered", "false") == "false" for frame in again)
    nothing_more(other)
    other.leave()


def client_acks_all_before(version):
    destination = fresh("queue")
    client = Client(version)
    for body in "12345":
        client.send(destination, body)
    client.subscribe(destination, ack="client")
    frames = client.take(5)
    client.ack(frames[2])
    client.leave()
    other = Client(version)
    other.subscribe(destination)
    assert bodies(other.take(2)) == ["4", "5"]
    nothing_more(other)
    other.leave()


def nack_redelivers(version):
    destination = fresh("queue")
    client = Client(version)
    client.send(destination, "again")
    client.subscribe(destination, ack="client-individual")
    [frame] = client.take(1)
    assert frame.headers.get("redelivered", "false") == "false", frame.headers
    client.ack(frame, call="nack")
    [frame] = client.take(1)
    assert frame.body == "again" and frame.headers["redelivered"] == "true", frame.headers
    client.ack(frame)
    nothing_more(client)
    client.leave()


def topic_reaches_everybody(version):
    destination = fresh("topic")
    clients = [Client(version) for _ in range(3)]
    for client in clients[:2]:
        client.subscribe(destination)
    clients[2].send(destination, "news")
    for client in clients[:2]:
        assert bodies(client.take(1)) == ["news"]
        nothing_more(client)
    for client in clients:
        client.leave()


def queue_consumers_share(version):
    destination = fresh("queue")
    clients = [Client(version) for _ in range(2)]
    for client in clients:
        client.subscribe(destination)
    for number in range(20):
        clients[0].send(destination, str(number))
    seen = [bodies([client.messages.get(timeout=WAIT)]) for client in clients for _ in range(10)]
    assert sorted(int(body) for [body] in seen) == list(range(20)), seen
    for client in clients:
        nothing_more(client)
        client.leave()


def unsubscribe_ends_delivery(version):
    destination = fresh("queue")
    client = Client(version)
    client.subscribe(destination)
    client.connection.unsubscribe(id="s1", receipt="unsubscribed")
    client.receipt("unsubscribed")
    client.send(destination, "later")
    nothing_more(client)
    client.subscribe(destination)
    assert bodies(client.take(1)) == ["later"]
    client.leave()


def keeps_order(version):
    destination = fresh("queue")
    client = Client(version)
    client.subscribe(destination)
    wanted = [str(number) for number in range(1000)]
    for body in wanted:
        client.connection.send(destination, body)
    assert bodies(client.take(len(wanted))) == wanted
    client.leave()


def beats(version):
    client = Client(version, heartbeats=(500, 500))
    assert client.headers["heart-beat"] == "500,500", client.headers
    assert not client.gone.wait(2.5), "the connection was lost"
    assert client.beats >= 2, f"{client.beats} heart-beats in 2.5 s"
    client.leave()


def error_closes(version):
    client = Client(version)
    client.connection.send_frame("SEND", {"receipt": "r"}, "no destination")
    frame = client.errors.get(timeout=WAIT)
    assert frame.headers["message"] and frame.headers["receipt-id"] == "r", frame.headers
    assert client.gone.wait(WAIT), "the socket stays open after ERROR"


def check(version, name, case):
    try:
        case(version)
        print(f"ok stomp_py: {version}: {name}", flush=True)
    except Exception as error:  # a case fails by whatever it raises
        reason = " ".join(f"{type(error).__name__} {error}".split())[:300]
        print(f"FAIL stomp_py: {version}: {name}: {reason}", flush=True)


ALL = ("1.0", "1.1", "1.2")
NEWER = ("1.1", "1.2")
CASES = [
    (ALL, "connects in its version and leaves with a receipt", connects_in_its_version),
    (ALL, "a queue keeps order, body and headers", delivers_from_a_queue),
    (NEWER, "headers are escaped", escapes_headers),
    (ALL, "client-individual settles one message", client_individual_acks_one),
    (ALL, "client settles all up to one message", client_acks_all_before),
    (NEWER, "NACK means redelivery", nack_redelivers),
    (ALL, "a topic reaches every subscriber", topic_reaches_everybody),
    (ALL, "consumers of a queue share it", queue_consumers_share),
    (ALL, "nothing comes after UNSUBSCRIBE", unsubscribe_ends_delivery),
    (ALL, "1,000 messages without receipts keep their order", keeps_order),
    (NEWER, "heart-beats keep an idle connection", beats),
    (ALL, "ERROR names the receipt and closes", error_closes),
]

for versions, name, case in CASES:
    for version in versions:
        check(version, name, case)
