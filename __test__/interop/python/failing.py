"""Calls a server of `interop.thrift` once, and prints the exception that this ends with."""

from interop import Interop
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport.TTransport import TTransportException

from wire import arguments, connect

options = arguments()
transport, protocol = connect(options)
client = Interop.Client(protocol)


def malformed():
    """Arguments that end in the head of their first field."""
    protocol.writeMessageBegin("crash", TMessageType.CALL, 0)
    protocol.trans.write(b"\x0b")
    protocol.writeMessageEnd()
    protocol.trans.flush()
    client.recv_crash()


calls = {"wait": lambda: client.wait(-1), "long": lambda: client.crash("x" * 100_000), "malformed": malformed}
try:
    calls[options.call]()
except (TTransportException, TProtocolException, TApplicationException) as exception:
    print(type(exception).__name__, exception.type)
else:
    raise AssertionError("nothing was raised")
transport.close()
