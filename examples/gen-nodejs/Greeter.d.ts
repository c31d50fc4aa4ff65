// Written by hand: the types of what Apache's compiler has generated.

import type { ThriftService } from 'netpoll/thrift'

interface GreeterClient {
  greet(name: string): Promise<string>
  wave(name: string): Promise<void>
}

declare const Greeter: ThriftService<GreeterClient>
export = Greeter
