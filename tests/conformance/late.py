"""A relay that hands on a broker's answers a little late.

The client of mqtt5-conformance begins to listen for an acknowledgement after it has written the packet,
and throws away one that was faster. Between two busy processes on one machine that is every second one.
"""

import asyncio
import threading

HOST = "127.0.0.1"
LATE = 0.02  # seconds


def start(broker_port):
    """Relays to this port in a thread that ends with the process; the port that it listens on."""
    started = threading.Event()
    ports = []

    async def serve():
        server = await asyncio.start_server(lambda *client: relay(*client, broker_port), HOST, 0)
        ports.append(server.sockets[0].getsockname()[1])
        started.set()
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    started.wait()
    return ports[0]


async def relay(client_reader, client_writer, broker_port):
    reader, writer = await asyncio.open_connection(HOST, broker_port)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(ask(client_reader, writer))
            both.create_task(answer(reader, client_writer))
    except* OSError:
        pass  # one side has reset its connection
    writer.close()
    client_writer.close()


async def ask(reader, writer):
    while octets := await reader.read(65536):
        writer.write(octets)
        await writer.drain()
    writer.write_eof()


async def answer(reader, writer):
    while octets := await reader.read(65536):
        await asyncio.sleep(LATE)
        writer.write(octets)
        await writer.drain()
    writer.close()
