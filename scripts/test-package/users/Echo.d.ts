// Types for what Apache's compiler generates as JavaScript, written as users of TypeScript write them.

import type { ThriftService } from 'netpoll/thrift'

interface EchoClient {
  echo(request: { readonly message: string }): Promise<{ readonly message: string }>
}

declare const Echo: ThriftService<EchoClient>
export = Echo
