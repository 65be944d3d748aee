"""A server and a client of framed thrift in TLS, in one process.

Arguments: port, certificate, its key, key log to write, version of TLS (1.2 or 1.3), connections, calls on each.
"""

import socket
import ssl
import struct
import sys
import threading

CALL, REPLY = 1, 2
LENGTH = 21


def message(kind, number):
    """A message of the binary protocol without fields, in its frame."""
    body = struct.pack("!HBBI4sIB", 0x8001, 0, kind, 4, b"Ping", number, 0)
    return struct.pack("!I", len(body)) + body


def read(stream):
    """The next message; less at the end."""
    data = b""
    while len(data) < LENGTH and (more := stream.recv(LENGTH - len(data))):
        data += more
    return data


def serve(listener, context, connections):
    for _ in range(connections):
        raw, _ = listener.accept()
        with context.wrap_socket(raw, server_side=True) as stream:
            while len(data := read(stream)) == LENGTH:
                stream.sendall(message(REPLY, struct.unpack("!I", data[16:20])[0]))


def main():
    port, certificate, key, log, version, connections, calls = sys.argv[1:]
    wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificate)
    client.check_hostname = False
    client.keylog_filename = log
    client.minimum_version = client.maximum_version = wanted
    listener = socket.create_server(("127.0.0.1", int(port)))
    thread = threading.Thread(target=serve, args=(listener, server, int(connections)))
    thread.start()
    for _ in range(int(connections)):
        raw = socket.create_connection(("127.0.0.1", int(port)))
        with client.wrap_socket(raw) as stream:
            for number in range(int(calls)):
                stream.sendall(message(CALL, number))
                assert read(stream) == message(REPLY, number)
    thread.join()


main()
