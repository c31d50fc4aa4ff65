// What the tests of netpoll/thrift speak, also with implementations of other languages.
// gen-nodejs is what the compiler makes of it: see README.md.

namespace go interop
namespace py interop

enum Colour {
  RED = 1
  GREEN = 2
}

struct Leaf {
  1: string name
  2: i32 weight
}

union Choice {
  1: i32 number
  2: string text
}

struct Everything {
  1: bool yes
  2: bool no
  3: i8 tiny
  4: i16 small
  5: i32 middle
  6: i64 large
  7: double real
  8: string text
  9: binary bytes
  10: list<i32> numbers
  11: set<string> names
  12: map<string, Leaf> leaves
  13: Leaf leaf
  14: Colour colour
  15: Choice choice
  16: list<bool> flags
  17: list<list<i64>> grid
  40: optional string far
  41: map<string, bool> marks
}

exception Refused {
  1: i32 code
  2: string why
}

service Base {
  void ping()
}

service Interop extends Base {
  Everything echo(1: Everything value)
  string refuse(1: i32 code, 2: string why) throws (1: Refused refused)
  string crash(1: string text)
  string wait(1: i32 milliseconds)
  binary blob(1: i32 size)
  oneway void tell(1: string news)
  list<string> told()
}
