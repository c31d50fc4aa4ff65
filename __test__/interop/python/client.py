"""Calls a server of `interop.thrift` in every way, and ends with 0 if all is as it should be."""

from interop import Interop
from interop.ttypes import Choice, Colour, Everything, Leaf, Refused
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport.THeaderTransport import THeaderTransformID

from wire import arguments, connect

options = arguments()
transport, protocol = connect(options)
client = Interop.Client(protocol)


def raised(work):
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


leaf = Leaf("leaf", 3)
everything = Everything(
    yes=True,
    no=False,
    tiny=-1,
    small=300,
    middle=-70_000,
    large=-(2**40),
    real=1.25,
    text="häuser 😀",
    bytes=bytes([1, 2, 3, 255]),
    numbers=[1, -2],
    names={"a", "b"},
    leaves={"one": leaf},
    leaf=leaf,
    colour=Colour.GREEN,
    choice=Choice(text="this"),
    flags=[True, False],
    grid=[[1], [2, 3]],
    far="far",
    marks={"x": True, "y": False},
)
assert client.echo(everything) == everything
assert client.echo(Everything()) == Everything()
client.ping()

refused = raised(lambda: client.refuse(7, "no"))
assert isinstance(refused, Refused) and (refused.code, refused.why) == (7, "no"), refused
crashed = raised(lambda: client.crash("oops"))
assert isinstance(crashed, TApplicationException), crashed
assert (crashed.type, crashed.message) == (TApplicationException.INTERNAL_ERROR, "oops"), crashed

client.tell("the news")
assert client.told() == ["the news"]
assert client.blob(100_000) == b"b" * 100_000
assert [client.wait(milliseconds) for milliseconds in range(5)] == ["0", "1", "2", "3", "4"]

protocol.writeMessageBegin("missing", TMessageType.CALL, 99)
protocol.writeStructBegin("missing_args")
protocol.writeFieldStop()
protocol.writeStructEnd()
protocol.writeMessageEnd()
protocol.trans.flush()
assert protocol.readMessageBegin() == ("missing", TMessageType.EXCEPTION, 99)
missing = TApplicationException()
missing.read(protocol)
protocol.readMessageEnd()
assert missing.type == TApplicationException.UNKNOWN_METHOD, missing

if options.transport == "theader":
    protocol.set_header(b"trace", b"from Python")
    client.ping()
    assert protocol.get_headers()[b"seen"] == b"from Python", protocol.get_headers()
    protocol.add_transform(THeaderTransformID.ZLIB)
    assert client.echo(everything) == everything

transport.close()
