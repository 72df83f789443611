"""Qpid Proton (Python, on the C engine): AMQP 1.0 over TCP."""

import os
import socket
import time
import uuid

from proton import Condition, Data, Delivery, Message, Terminus
from proton import char, float32, int32, symbol, timestamp, ubyte, ulong
from proton.reactor import AtMostOnce, Copy, LinkOption, ReceiverOption
from proton.utils import BlockingConnection, LinkDetached, SendException

HOST = os.environ.get("HOST", "127.0.0.1")
ENDPOINTS = [
    (name, int(os.environ[variable]))
    for name, variable in [
        ("TCP", "AMQP_PORT"),
        ("TCP on the port of all protocols", "AUTO_PORT"),
    ]
    if os.environ.get(variable)
]
# How another broker wants a queue to be named: AMQP_QUEUE='/queue/{}'.
QUEUE = os.environ.get("AMQP_QUEUE", "{}")
WAIT = 10  # seconds until something that must come is given up
QUIET = 0.3  # seconds in which nothing may come


def fresh(stem):
    """A name that no other case uses."""
    return f"proton-{stem}-{uuid.uuid4().hex[:8]}"


def fresh_queue(stem):
    return QUEUE.format(fresh(stem))


class Capability(LinkOption):
    """Says what a node is to be: queue or topic."""

    def __init__(self, name):
        self.name = name

    def apply(self, link):
        node = link.source if link.is_receiver else link.target
        node.capabilities.put_array(False, Data.SYMBOL)
        node.capabilities.enter()
        node.capabilities.put_symbol(symbol(self.name))
        node.capabilities.exit()


class Durable(ReceiverOption):
    """A subscription that outlives its link."""

    def apply(self, receiver):
        receiver.source.durability = Terminus.DELIVERIES
        receiver.source.expiry_policy = Terminus.EXPIRE_NEVER


TOPIC = Capability("topic")


class Client:
    """A connection; its receivers take and settle."""

    def __init__(self, port, container=None):
        self.connection = BlockingConnection(
            f"amqp://{HOST}:{port}",
            timeout=WAIT,
            container_id=container,
            allowed_mechs="ANONYMOUS",
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    # By default the client names a link after its address, so a second one would steal the first.
    def sender(self, address, *options, name=None):
        name = name or fresh("sender")
        return self.connection.create_sender(address, name=name, options=list(options))

    def receiver(self, address, *options, name=None, **more):
        more = {"credit": 10, "name": name or fresh("receiver"), **more}
        link = self.connection.create_receiver(address, options=list(options), **more)
        return Receiver(self.connection, link)

    def send(self, address, *messages, options=()):
        """Returns when all are settled as accepted."""
        sender = self.sender(address, *options)
        for message in messages:
            seen = sender.send(message).remote_state
            assert seen in (Delivery.ACCEPTED, 0), f"the outcome is {seen}"
        sender.close()

    def left(self, address):
        """Takes and accepts what a queue still holds: the bodies."""
        receiver = self.receiver(address, credit=100)
        bodies = []
        while (message := receiver.maybe()) is not None:
            receiver.accept()
            bodies.append(message.body)
        receiver.close()
        return bodies

    def cut(self):
        """The connection ends without close."""
        selectable = self.connection.conn.transport._selectable
        with socket.socket(fileno=os.dup(selectable.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)


class Receiver:
    def __init__(self, connection, link):
        self.connection, self.link = connection, link

    def take(self):
        return self.link.receive(WAIT)

    def accept(self):
        self.link.accept()

    def maybe(self):
        """The next message, or None if none comes."""
        deadline = time.monotonic() + QUIET
        while not self.link.fetcher.has_message and time.monotonic() < deadline:
            self.connection.container.timeout = 0.02
            self.connection.container.process()
        self.connection.container.timeout = WAIT
        return self.link.fetcher.pop() if self.link.fetcher.has_message else None

    def take_all(self, count):
        """The bodies of that many messages, each accepted."""
        bodies = []
        for _ in range(count):
            bodies.append(self.take().body)
            if self.link.fetcher.unsettled:
                self.accept()
        return bodies

    def nothing_more(self):
        message = self.maybe()
        assert message is None, f"an unexpected message: {message.body!r}"

    def settle(self, outcome, **fields):
        """Settles the oldest delivery; the client's own verbs cannot set the fields of an outcome."""
        delivery = self.link.fetcher.unsettled.popleft()
        for name, value in fields.items():
            setattr(delivery.local, name, value)
        delivery.update(outcome)
        delivery.settle()

    def drain(self, credit):
        """Asks for what is there; returns the bodies once the credit came back."""
        self.link.link.drain(credit)
        self.connection.wait(lambda: self.link.link.credit == 0, msg="drain", timeout=WAIT)
        bodies = []
        while self.link.fetcher.has_message:
            bodies.append(self.link.fetcher.pop().body)
            self.accept()
        return bodies

    def detach(self):
        """Suspends the link: what it leads to stays."""
        self.link.link.detach()

    def close(self):
        self.link.close()


def keeps_order(port):
    queue = fresh_queue("order")
    with Client(port) as client:
        client.send(queue, *(Message(body=f"m{i}", id=str(i)) for i in range(200)))
        receiver = client.receiver(queue, credit=50)
        assert receiver.take_all(200) == [f"m{i}" for i in range(200)]
        receiver.close()
        assert client.left(queue) == []


def passes_settled_deliveries(port):
    queue = fresh_queue("settled")
    with Client(port) as client:
        client.send(queue, *(Message(body=i) for i in range(50)), options=[AtMostOnce()])
        receiver = client.receiver(queue, AtMostOnce(), credit=50)
        assert receiver.take_all(50) == list(range(50))
        receiver.close()
        assert client.left(queue) == []


def released_is_not_counted(port):
    queue = fresh_queue("released")
    with Client(port) as client:
        client.send(queue, Message(body="x"))
        receiver = client.receiver(queue)
        for _ in range(3):
            message = receiver.take()
            assert (message.body, message.delivery_count) == ("x", 0), message
            receiver.settle(Delivery.RELEASED)
        receiver.take()
        receiver.accept()
        receiver.nothing_more()


def modified_is_counted(port):
    queue = fresh_queue("modified")
    with Client(port) as client:
        client.send(queue, Message(body="x"))
        receiver = client.receiver(queue)
        for count in range(3):
            message = receiver.take()
            assert message.delivery_count == count, (count, message.delivery_count)
            assert not (count and message.first_acquirer), "still the first acquirer"
            receiver.settle(Delivery.MODIFIED, failed=True)
        assert receiver.take().delivery_count == 3
        receiver.settle(Delivery.MODIFIED)
        assert receiver.take().delivery_count == 3, "counted without delivery-failed"
        receiver.accept()


def undeliverable_here_goes_elsewhere(port):
    queue, note = fresh_queue("undeliverable"), symbol("x-opt-interop")
    with Client(port) as client:
        client.send(queue, Message(body="x", annotations={note: "old", symbol("x-opt-kept"): "k"}))
        first = client.receiver(queue)
        first.take()
        annotations = {note: "new", symbol("x-opt-added"): int32(7)}
        first.settle(Delivery.MODIFIED, failed=True, undeliverable=True, annotations=annotations)
        first.nothing_more()
        second = client.receiver(queue)
        message = second.take()
        second.accept()
        seen = {str(key): value for key, value in message.annotations.items()}
        wanted = {"x-opt-interop": "new", "x-opt-kept": "k", "x-opt-added": 7}
        assert wanted.items() <= seen.items(), seen
        assert message.delivery_count == 1, message.delivery_count


def rejected_goes_to_dlq(port):
    name = fresh("rejected")
    queue = QUEUE.format(name)
    with Client(port) as client:
        client.send(queue, Message(body=name, properties={"k": "v"}))
        receiver = client.receiver(queue)
        receiver.take()
        condition = Condition("interop:broken", "cannot be read")
        receiver.settle(Delivery.REJECTED, condition=condition)
        receiver.nothing_more()
        receiver.close()
        dead = client.receiver(QUEUE.format("DLQ"), Copy(), credit=500)
        while (message := dead.take()).body != name:
            pass
        assert message.properties == {"k": "v"}, message.properties
        seen = {str(key): value for key, value in message.annotations.items()}
        origin = (seen.get("x-opt-ORIG-ADDRESS"), seen.get("x-opt-ORIG-QUEUE"))
        assert origin == (name, name), seen
        assert "interop:broken" in seen.values(), f"the reason is not in {seen}"


def cut_returns_what_was_unsettled(port):
    queue = fresh_queue("cut")
    lost = Client(port)
    lost.send(queue, *(Message(body=i) for i in range(3)))
    receiver = lost.receiver(queue)
    for _ in range(3):
        receiver.take()
    lost.cut()
    with Client(port) as client:
        again = client.receiver(queue)
        seen = [(message.body, message.delivery_count) for message in map(lambda _: again.take(), range(3))]
        assert seen == [(0, 1), (1, 1), (2, 1)], seen


def detached_link_returns_what_was_unsettled(port):
    queue = fresh_queue("detached")
    with Client(port) as client:
        client.send(queue, *(Message(body=i) for i in range(3)))
        receiver = client.receiver(queue)
        for _ in range(3):
            receiver.take()
        receiver.close()
        again = client.receiver(queue)
        seen = [(message.body, message.delivery_count) for message in map(lambda _: again.take(), range(3))]
        assert seen == [(0, 0), (1, 0), (2, 0)], seen


PROPERTIES = {
    "int": int32(-5),
    "ulong": ulong(2**63),
    "ubyte": ubyte(200),
    "long": -(2**62),
    "text": "grüße",
    "true": True,
    "double": 1.5,
    "float": float32(0.25),
    "char": char("ß"),
    "uuid": uuid.UUID(int=3),
    "time": timestamp(1_700_000_000_000),
    "null": None,
}
BODIES = [
    b"\x00\xff" * 10,
    "grüße",
    "",
    None,
    -7,
    [1, "two", [3.0, None]],
    {"a": {"b": [True]}, symbol("s"): ulong(1)},
    uuid.UUID(int=9),
]


def keeps_types(port):
    queue = fresh_queue("types")
    wanted = {
        "id": ulong(7),
        "correlation_id": uuid.UUID(int=5),
        "subject": "subject",
        "reply_to": "answers",
        "content_type": "text/x",
        "content_encoding": "identity",
        "user_id": b"user",
        "group_id": "group",
        "group_sequence": 9,
        "reply_to_group_id": "other",
        "priority": 7,
        "durable": True,
        "properties": PROPERTIES,
        "annotations": {symbol("x-opt-a"): "v", symbol("x-opt-n"): int32(4)},
    }
    with Client(port) as client:
        receiver = client.receiver(queue)
        for body in BODIES:
            client.send(queue, Message(body=body, inferred=isinstance(body, bytes), **wanted))
            seen = receiver.take()
            receiver.accept()
            kind = bytes if isinstance(seen.body, memoryview) else type(seen.body)
            assert (kind, seen.body) == (type(body), body), (seen.body, body)
            for name, value in wanted.items():
                assert getattr(seen, name) == value, (name, getattr(seen, name), value)
            for name, value in PROPERTIES.items():
                assert type(seen.properties[name]) is type(value), (name, seen.properties[name])


def browsing_leaves_messages(port):
    queue = fresh_queue("browse")
    with Client(port) as client:
        client.send(queue, *(Message(body=i) for i in range(4)))
        for _ in range(2):
            browser = client.receiver(queue, Copy())
            assert browser.take_all(4) == [0, 1, 2, 3]
            browser.nothing_more()
            browser.close()
        assert client.left(queue) == [0, 1, 2, 3]


def answers_over_a_dynamic_node(port):
    queue = fresh_queue("requests")
    with Client(port) as asker, Client(port) as server:
        answers = asker.receiver(None, dynamic=True)
        address = answers.link.link.remote_source.address
        assert address, "the dynamic node has no address"
        asker.send(queue, Message(body="ping", reply_to=address, correlation_id="c-1"))
        requests = server.receiver(queue)
        request = requests.take()
        requests.accept()
        reply = Message(body="pong", correlation_id=request.correlation_id)
        server.send(request.reply_to, reply)
        seen = answers.take()
        assert (seen.body, seen.correlation_id) == ("pong", "c-1"), seen
        try:
            server.receiver(address)
        except LinkDetached:
            pass
        else:
            raise AssertionError("a stranger reads a temporary queue")


def drain_gives_credit_back(port):
    queue = fresh_queue("drain")
    with Client(port) as client:
        client.send(queue, *(Message(body=i) for i in range(3)))
        receiver = client.receiver(queue, credit=0)
        assert receiver.drain(2) == [0, 1]
        assert receiver.drain(10) == [2]
        assert receiver.drain(5) == []
        client.send(queue, Message(body="later"))
        receiver.nothing_more()
        assert receiver.drain(1) == ["later"]


def relays_by_the_address_of_a_message(port):
    first, second = fresh_queue("relay"), fresh_queue("relay")
    with Client(port) as client:
        offered = [str(name) for name in client.connection.conn.remote_offered_capabilities or []]
        assert "ANONYMOUS-RELAY" in offered, offered
        receivers = client.receiver(first), client.receiver(second)
        sender = client.sender(None)
        for address in (second, first):
            sender.send(Message(address=address, body=address))
        for receiver, address in zip(receivers, (first, second)):
            assert receiver.take_all(1) == [address]


def relay_survives_a_message_that_it_refuses(port):
    queue = fresh_queue("relay")
    with Client(port) as client:
        sender = client.sender(None)
        for address in ("closed.nothing", None):
            try:
                sender.send(Message(address=address, body="lost"))
            except SendException as refused:
                assert refused.state == Delivery.REJECTED, refused.state
            else:
                raise AssertionError(f"a message to {address} was accepted")
        sender.send(Message(address=queue, body="routed"))
        assert client.left(queue) == ["routed"]


def carries_large_messages(port):
    queue = fresh_queue("large")
    body = bytes(range(256)) * 40960
    with Client(port) as client:
        client.send(queue, Message(body=body, inferred=True), Message(body="after"))
        receiver = client.receiver(queue, credit=2)
        assert receiver.take().body == body, "the body of 10 MiB came back changed"
        assert receiver.take().body == "after"


def durable_subscription_keeps_messages(port):
    topic, container = fresh("durable"), fresh("container")
    with Client(port) as publisher:
        sender = publisher.sender(topic, TOPIC)
        with Client(port, container) as client:
            receiver = client.receiver(topic, Durable(), TOPIC, name="sub")
            sender.send(Message(body="one", durable=True))
            assert receiver.take_all(1) == ["one"]
            receiver.detach()
        sender.send(Message(body="two", durable=True))
        with Client(port, container) as client:
            receiver = client.receiver(topic, Durable(), TOPIC, name="sub")
            assert receiver.take_all(1) == ["two"]
            receiver.close()
            sender.send(Message(body="three", durable=True))
            receiver = client.receiver(topic, Durable(), TOPIC, name="sub")
            receiver.nothing_more()
            receiver.close()


def topic_reaches_every_subscriber(port):
    topic = fresh("topic")
    with Client(port) as client:
        receivers = [client.receiver(topic, TOPIC) for _ in range(3)]
        client.send(topic, *(Message(body=i) for i in range(5)), options=[TOPIC])
        for receiver in receivers:
            assert receiver.take_all(5) == list(range(5))
        client.receiver(topic, TOPIC).nothing_more()


def expired_messages_are_not_delivered(port):
    queue = fresh_queue("ttl")
    with Client(port) as client:
        client.send(queue, Message(body="short", ttl=0.1), Message(body="long", ttl=60))
        time.sleep(0.3)
        receiver = client.receiver(queue)
        message = receiver.take()
        assert message.body == "long", message.body
        assert 50 < message.ttl < 59.9, f"ttl is not what is left of it: {message.ttl}"
        receiver.accept()
        receiver.nothing_more()


def refused_attach_names_its_reason(port):
    queue = fresh_queue("refused")
    with Client(port) as client:
        good = client.receiver(queue)
        for attach in (client.sender, client.receiver):
            try:
                attach("closed.nothing")
            except LinkDetached as refused:
                assert refused.condition == "amqp:not-found", refused
            else:
                raise AssertionError("the link to an address that may not be made is attached")
        client.send(queue, Message(body="still here"))
        assert good.take_all(1) == ["still here"]


def one_name_serves_both_directions(port):
    queue = fresh_queue("pair")
    with Client(port) as client:
        sender = client.sender(queue, name="pair")
        receiver = client.receiver(queue, name="pair")
        sender.send(Message(body="p"))
        assert receiver.take_all(1) == ["p"]


def check(endpoint, name, case):
    transport, port = endpoint
    title = f"qpid_proton: {transport}: {name}"
    try:
        case(port)
        print(f"ok {title}", flush=True)
    except Exception as error:  # a case fails by whatever it raises
        reason = " ".join(f"{type(error).__name__} {error}".split())[:300]
        print(f"FAIL {title}: {reason}", flush=True)


CASES = [
    ("200 messages keep their order", keeps_order),
    ("settled deliveries pass both ways", passes_settled_deliveries),
    ("released comes back uncounted", released_is_not_counted),
    ("modified comes back counted", modified_is_counted),
    ("undeliverable-here goes to another link with its annotations", undeliverable_here_goes_elsewhere),
    ("rejected goes to DLQ with its reason", rejected_goes_to_dlq),
    ("a cut returns what was unsettled, counted", cut_returns_what_was_unsettled),
    ("a closed link returns what was unsettled, uncounted", detached_link_returns_what_was_unsettled),
    ("every section and type comes back", keeps_types),
    ("browsing leaves the messages", browsing_leaves_messages),
    ("a dynamic node gets the answer", answers_over_a_dynamic_node),
    ("drain gives credit back", drain_gives_credit_back),
    ("the anonymous relay routes by message", relays_by_the_address_of_a_message),
    ("the anonymous relay rejects one message alone", relay_survives_a_message_that_it_refuses),
    ("10 MiB arrive whole", carries_large_messages),
    ("a durable subscription keeps messages", durable_subscription_keeps_messages),
    ("a topic reaches every subscriber", topic_reaches_every_subscriber),
    ("expired messages are not delivered", expired_messages_are_not_delivered),
    ("a refused attach leaves the other links", refused_attach_names_its_reason),
    ("one link name serves both directions", one_name_serves_both_directions),
]

for endpoint in ENDPOINTS[:1]:
    for name, case in CASES:
        check(endpoint, name, case)
for endpoint in ENDPOINTS[1:]:
    check(endpoint, *CASES[0])
os._exit(0)  # a client that a failed case left open must not hold the driver
