// What thrift.mjs serves. gen-nodejs is made of it: thrift --gen js:node,es6 -out gen-nodejs greeter.thrift

exception Unfriendly {
  1: string why
}

service Greeter {
  string greet(1: string name) throws (1: Unfriendly unfriendly)
  oneway void wave(1: string name)
}
