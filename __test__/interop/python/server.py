"""Serves `interop.thrift` until its standard input ends, or it is to wait for less than nothing: that kills it.

Prints `listening PORT`.
"""

import logging
import os
import signal
import sys
import threading
import time

from interop import Interop
from interop.ttypes import Refused
from thrift.server.TServer import TThreadedServer
from thrift.transport.TSocket import TServerSocket

from wire import arguments, factories


class Handler:
    def __init__(self):
        self.news = []

    def echo(self, value):
        return value

    def refuse(self, code, why):
        raise Refused(code, why)

    def crash(self, text):
        raise RuntimeError(text)

    def wait(self, milliseconds):
        if milliseconds < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(milliseconds / 1000)
        return str(milliseconds)

    def blob(self, size):
        return b"b" * size

    def tell(self, news):
        self.news.append(news)

    def told(self):
        return self.news

    def ping(self):
        pass


class Listener(TServerSocket):
    def listen(self):
        super().listen()
        print("listening", self.handle.getsockname()[1], flush=True)


options = arguments()
transport_factory, protocol_factory = factories(options.transport, options.protocol)
logging.disable(logging.CRITICAL)
server = TThreadedServer(
    Interop.Processor(Handler()),
    Listener("127.0.0.1", options.port),
    transport_factory,
    protocol_factory,
    daemon=True,
)
threading.Thread(target=server.serve, daemon=True).start()
sys.stdin.read()
os._exit(0)
