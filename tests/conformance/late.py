"""A relay that hands on a broker's answers a little late.

The client of mqtt5-conformance begins to listen for an acknowledgement after it has written the packet,
and throws away one that was faster. Between two busy processes on one machine that is every second one.
"""

import socket
import threading
import time

HOST = "127.0.0.1"
LATE = 0.02  # seconds


def start(broker_port):
    """Relays to this port in threads that end with the process; the port that it listens on."""
    server = socket.create_server((HOST, 0))

    def accept():
        while True:
            client, _ = server.accept()
            in_background(relay, client, broker_port)

    in_background(accept)
    return server.getsockname()[1]


def in_background(work, *arguments):
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def relay(client, broker_port):
    with client, socket.create_connection((HOST, broker_port)) as broker:
        for end in (client, broker):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asking = in_background(hand_on, client, broker, 0)
        hand_on(broker, client, LATE)
        shut(client, socket.SHUT_RDWR)  # which ends the other direction
        asking.join()


def hand_on(source, sink, late):
    try:
        while octets := source.recv(65536):
            time.sleep(late)
            sink.sendall(octets)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one side has reset its connection, and so both are over
        shut(source, socket.SHUT_RDWR)
        shut(sink, socket.SHUT_RDWR)


def shut(end, how):
    try:
        end.shutdown(how)
    except OSError:
        pass  # it is shut already
