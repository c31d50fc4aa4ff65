"""How both programs speak: `--transport framed|theader --protocol binary|compact`."""

import argparse

from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
from thrift.protocol.TCompactProtocol import TCompactProtocolFactory
from thrift.protocol.THeaderProtocol import THeaderProtocolFactory
from thrift.transport.THeaderTransport import THeaderClientType, THeaderSubprotocolID
from thrift.transport.TTransport import TFramedTransportFactory, TTransportFactoryBase


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["client", "server"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--transport", choices=["framed", "theader"], required=True)
    parser.add_argument("--protocol", choices=["binary", "compact"], required=True)
    return parser.parse_args()


def factories(transport, protocol):
    """The factories of transports and protocols."""
    if transport == "theader":
        subprotocol = {"binary": THeaderSubprotocolID.BINARY, "compact": THeaderSubprotocolID.COMPACT}[protocol]
        allowed = (THeaderClientType.HEADERS,)
        return TTransportFactoryBase(), THeaderProtocolFactory(allowed, subprotocol)
    protocols = {"binary": TBinaryProtocolFactory, "compact": TCompactProtocolFactory}
    return TFramedTransportFactory(), protocols[protocol]()
