// The scenario of kitex-benchmark: a request of two texts, and a reply of the same two.
// gen-nodejs is made of it: thrift --gen js:node,es6 -out gen-nodejs echo.thrift

namespace go echo

struct Request {
  1: required string action
  2: required string msg
}

struct Response {
  1: required string action
  2: required string msg
}

service EchoServer {
  Response Echo(1: Request req)
}
