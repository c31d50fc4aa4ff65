"""How all programs speak: `--transport framed|theader --protocol binary|compact`."""

import argparse

from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
from thrift.protocol.TCompactProtocol import TCompactProtocolFactory
from thrift.protocol.THeaderProtocol import THeaderProtocolFactory
from thrift.transport.THeaderTransport import THeaderClientType, THeaderSubprotocolID
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransportFactory, TTransportFactoryBase


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["client", "failing", "server"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--transport", choices=["framed", "theader"], required=True)
    parser.add_argument("--protocol", choices=["binary", "compact"], required=True)
    parser.add_argument("--call", choices=["wait", "long", "malformed"])
    return parser.parse_args()


def connect(options):
    """An open transport, and its protocol."""
    transport_factory, protocol_factory = factories(options.transport, options.protocol)
    socket = TSocket("127.0.0.1", options.port)
    socket.setTimeout(30_000)
    transport = transport_factory.getTransport(socket)
    protocol = protocol_factory.getProtocol(transport)
    transport.open()
    return transport, protocol


def factories(transport, protocol):
    """The factories of transports and protocols."""
    if transport == "theader":
        subprotocol = {"binary": THeaderSubprotocolID.BINARY, "compact": THeaderSubprotocolID.COMPACT}[protocol]
        allowed = (THeaderClientType.HEADERS,)
        return TTransportFactoryBase(), THeaderProtocolFactory(allowed, subprotocol)
    protocols = {"binary": TBinaryProtocolFactory, "compact": TCompactProtocolFactory}
    return TFramedTransportFactory(), protocols[protocol]()
