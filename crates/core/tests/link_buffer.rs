//! Runs the table of cases that the link buffers of both languages are held to.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use netpoll_core::ChunkPool;
use netpoll_core::buffer::{LinkReader, LinkWriter, NotEnoughData, Piece, Region};
use netpoll_core::frame::Endian;
use serde_json::Value;

const TABLE: &str = include_str!("../../../testdata/link-buffer.json");
const CHUNK_SIZE: usize = 64 * 1024;

/// Every word that a step may use: a misspelt one would be an expectation that the test does not
/// look at.
const WORDS: [&str; 23] = [
    "do",
    "on",
    "bytes",
    "chunk",
    "count",
    "delimiter",
    "from",
    "size",
    "offset",
    "endian",
    "text",
    "value",
    "fill",
    "remaining",
    "other",
    "to",
    "gives",
    "error",
    "shares",
    "as",
    "sameMemoryAs",
    "view",
    "direct",
];

#[test]
fn the_table_holds() {
    let table: Value = serde_json::from_str(TABLE).expect("the table is JSON");
    let cases = table["cases"].as_array().expect("cases");
    assert!(!cases.is_empty());
    for case in cases.iter().filter(|case| case["only"] != "typescript") {
        let mut bench = Bench::new();
        for (number, step) in case["steps"].as_array().expect("steps").iter().enumerate() {
            let place = format!("{}, step {}: {step}", case["name"], number + 1);
            bench.take(&Step { step, place });
        }
    }
}

struct Step<'a> {
    step: &'a Value,
    place: String,
}

impl Step<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.step[key].as_str()
    }

    fn name(&self, key: &str, otherwise: &str) -> String {
        self.text(key).unwrap_or(otherwise).to_owned()
    }

    fn count(&self, key: &str) -> usize {
        self.step[key].as_u64().unwrap_or(0) as usize
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        bytes_of(&self.step[key])
    }

    fn bytes_if_any(&self, key: &str) -> Vec<u8> {
        if self.step[key].is_null() {
            Vec::new()
        } else {
            self.bytes(key)
        }
    }

    fn endian(&self) -> Endian {
        match self.text("endian") {
            Some("little") => Endian::Little,
            None | Some("big") => Endian::Big,
            Some(other) => panic!("no byte order is called {other}"),
        }
    }

    /// Checks a result that the step describes by its key `gives` or `error`.
    fn check<T>(&self, result: Result<T, NotEnoughData>, is_given: impl FnOnce(&T) -> bool) {
        let place = &self.place;
        match (result, self.text("error")) {
            (Ok(given), None) => assert!(is_given(&given), "{place}: gives something else"),
            (Err(error), None) => panic!("{place}: {error}"),
            (Ok(_), Some(_)) => panic!("{place}: did not fail"),
            (Err(NotEnoughData { missing }), Some(code)) => {
                assert_eq!(code, self.code(), "{place}");
                assert!(missing > 0, "{place}");
            }
        }
    }

    /// What [`NotEnoughData`] is called elsewhere: of a writer it is the caller's mistake.
    fn code(&self) -> &'static str {
        match self.text("do") {
            Some("mallocAck" | "writeDirect") => "ERR_INVALID_ARG_VALUE",
            _ => "ERR_NOT_ENOUGH_DATA",
        }
    }

    fn check_number(&self, result: Result<u64, NotEnoughData>) {
        self.check(result, |&number| {
            Some(number) == self.step["gives"].as_u64()
        });
    }
}

fn bytes_of(value: &Value) -> Vec<u8> {
    let numbers = |value: &Value| -> Vec<u8> {
        let list = value.as_array().expect("a list of bytes").iter();
        list.map(|byte| byte.as_u64().expect("a byte") as u8)
            .collect()
    };
    if let Some(text) = value.as_str() {
        text.as_bytes().to_vec()
    } else if let Some(byte) = value.as_u64() {
        vec![byte as u8]
    } else if let Some([byte, count]) = value["repeat"].as_array().map(Vec::as_slice) {
        vec![byte.as_u64().expect("a byte") as u8; count.as_u64().expect("a count") as usize]
    } else if let Some(parts) = value["all"].as_array() {
        parts.iter().map(bytes_of).collect::<Vec<_>>().concat()
    } else {
        numbers(&value["bytes"])
    }
}

fn addresses(bytes: &[u8]) -> Range<usize> {
    let start = bytes.as_ptr().addr();
    start..start + bytes.len()
}

fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// What the steps of one case work on.
struct Bench {
    pool: ChunkPool,
    readers: HashMap<String, LinkReader>,
    writers: HashMap<String, LinkWriter>,
    views: HashMap<String, Piece>,
    /// What is left of the chunks that have a name.
    chunks: HashMap<String, Region>,
    /// Everything that was pushed, kept so that its memory is used for nothing else.
    pushed: Vec<Piece>,
}

impl Bench {
    fn new() -> Self {
        let pool = ChunkPool::new(CHUNK_SIZE, 4);
        Self {
            readers: HashMap::from([("reader".to_owned(), LinkReader::new(pool.clone()))]),
            writers: HashMap::new(),
            views: HashMap::new(),
            chunks: HashMap::new(),
            pushed: Vec::new(),
            pool,
        }
    }

    fn take(&mut self, step: &Step<'_>) {
        for word in step.step.as_object().expect("a step").keys() {
            assert!(WORDS.contains(&word.as_str()), "{}: {word}?", step.place);
        }
        let operation = step.text("do").expect("an operation");
        match operation {
            "push" => self.push(step),
            "kept" => self.kept(step),
            "next" | "peek" | "until" => self.view(operation, step),
            "slice" => self.slice(step),
            "length" | "indexOf" | "skip" | "readString" | "readBinary" | "readByte"
            | "readUint" | "peekUint" | "release" => self.read(operation, step),
            "append" => self.append(step),
            "flush" => self.flush(step),
            _ => self.write(operation, step),
        }
    }

    fn reader(&mut self, step: &Step<'_>) -> &mut LinkReader {
        let name = step.name("on", "reader");
        self.readers.get_mut(&name).expect("a reader of that name")
    }

    fn writer(&mut self, name: String) -> &mut LinkWriter {
        let pool = &self.pool;
        self.writers
            .entry(name)
            .or_insert_with(|| LinkWriter::new(pool.clone()))
    }

    fn push(&mut self, step: &Step<'_>) {
        let bytes = step.bytes("bytes");
        let pool = &self.pool;
        let fresh = || Region::over(pool.take_at_least(bytes.len()));
        let slice = match step.text("chunk") {
            Some(name) => self
                .chunks
                .entry(name.to_owned())
                .or_insert_with(fresh)
                .append(&bytes),
            None => fresh().append(&bytes),
        };
        self.push_piece("reader", slice.into());
    }

    fn push_piece(&mut self, name: &str, piece: Piece) {
        self.pushed.push(piece.clone());
        let reader = self.readers.get_mut(name).expect("a reader of that name");
        reader.push(piece);
    }

    fn is_pushed(&self, view: &[u8]) -> bool {
        self.pushed.iter().any(|piece| match piece {
            Piece::Pooled(slice) => {
                let start = slice.chunk().as_ptr().addr();
                contains(&(start..start + slice.chunk().capacity()), &addresses(view))
            }
            Piece::Owned(bytes) => contains(&addresses(bytes), &addresses(view)),
            Piece::Foreign(foreign) => match *foreign.owner() {},
        })
    }

    fn view(&mut self, operation: &str, step: &Step<'_>) {
        let reader = self.reader(step);
        let result = match operation {
            "next" => reader.next(step.count("count")),
            "peek" => reader.peek(step.count("count")),
            _ => reader.until(&step.bytes("delimiter")),
        };
        step.check(result.clone(), |view| view.as_ref() == step.bytes("gives"));
        let Ok(view) = result else { return };
        if let Some(shares) = step.step["shares"].as_bool() {
            assert_eq!(self.is_pushed(view.as_ref()), shares, "{}", step.place);
        }
        if let Some(name) = step.text("sameMemoryAs") {
            let (other, view) = (self.views[name].as_ref(), view.as_ref());
            assert_eq!(other.as_ptr(), view.as_ptr(), "{}", step.place);
        }
        if let Some(name) = step.text("as") {
            self.views.insert(name.to_owned(), view);
        }
    }

    fn kept(&self, step: &Step<'_>) {
        let view = &self.views[step.text("view").expect("a view")];
        assert_eq!(view.as_ref(), step.bytes("gives"), "{}", step.place);
    }

    fn slice(&mut self, step: &Step<'_>) {
        match self.reader(step).slice(step.count("count")) {
            Ok(slice) => {
                assert!(step.text("error").is_none(), "{}", step.place);
                self.readers.insert(step.name("as", ""), slice);
            }
            Err(error) => step.check::<()>(Err(error), |()| false),
        }
    }

    fn read(&mut self, operation: &str, step: &Step<'_>) {
        let reader = self.reader(step);
        let (count, size) = (step.count("count"), step.count("size"));
        match operation {
            "length" => step.check_number(Ok(reader.len() as u64)),
            "indexOf" => {
                let index = reader.index_of(&step.bytes("delimiter"), step.count("from"));
                let index = index.map_or(-1, |index| index as i64);
                assert_eq!(Some(index), step.step["gives"].as_i64(), "{}", step.place);
            }
            "skip" => step.check(reader.skip(count), |()| true),
            "readString" => step.check(reader.read_string(count), |text| {
                Some(text.as_str()) == step.text("gives")
            }),
            "readBinary" => {
                let copy = reader.read_binary(count);
                step.check(copy.clone(), |bytes| *bytes == step.bytes("gives"));
                if step.step["shares"].is_boolean() {
                    assert!(!self.is_pushed(&copy.unwrap_or_default()), "{}", step.place);
                }
            }
            "readByte" => step.check_number(reader.read_byte().map(u64::from)),
            "readUint" => step.check_number(reader.read_uint(size, step.endian())),
            "peekUint" => {
                let offset = step.count("offset");
                step.check_number(reader.peek_uint(size, offset, step.endian()));
            }
            _ => reader.release(),
        }
    }

    fn write(&mut self, operation: &str, step: &Step<'_>) {
        let direct = Bytes::from(step.bytes_if_any("bytes"));
        let writer = self.writer(step.name("on", "writer"));
        match operation {
            "malloc" => {
                let fill = step.bytes("fill");
                writer.malloc(step.count("count"))[..fill.len()].copy_from_slice(&fill);
            }
            "mallocAck" => step.check(writer.malloc_ack(step.count("count")), |()| true),
            "mallocLength" => step.check_number(Ok(writer.malloc_length() as u64)),
            "writeString" => writer.write_string(step.text("text").expect("a text")),
            "writeBinary" => writer.write_binary(&direct),
            "writeByte" => writer.write_byte(step.count("value") as u8),
            "writeUint" => {
                let value = step.step["value"].as_u64().expect("a number");
                writer.write_uint(value, step.count("size"), step.endian());
            }
            "writeDirect" => {
                let written = writer.write_direct(direct.clone(), step.count("remaining"));
                step.check(written, |()| true);
                if let Some(name) = step.text("as") {
                    self.views.insert(name.to_owned(), direct.into());
                }
            }
            other => panic!("{}: no operation is called {other}", step.place),
        }
    }

    fn append(&mut self, step: &Step<'_>) {
        let empty = LinkWriter::new(self.pool.clone());
        let other = std::mem::replace(self.writer(step.name("other", "")), empty);
        self.writer(step.name("on", "writer")).append(other);
    }

    fn flush(&mut self, step: &Step<'_>) {
        let flushed = self.writer(step.name("on", "writer")).flush();
        let length = flushed.byte_length();
        let pieces: Vec<Piece> = flushed.collect();
        assert!(
            pieces.iter().all(|piece| !piece.is_empty()),
            "{}",
            step.place
        );
        let bytes = pieces
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<_>>()
            .concat();
        assert_eq!(bytes.len(), length, "{}", step.place);
        assert!(
            bytes == step.bytes("gives"),
            "{}: gives {bytes:?}",
            step.place
        );
        for name in step.step["direct"].as_array().into_iter().flatten() {
            let given = addresses(self.views[name.as_str().expect("a name")].as_ref());
            let is_there = pieces.iter().any(|it| addresses(it.as_ref()) == given);
            assert!(is_there, "{}: {name} was copied", step.place);
        }
        if let Some(reader) = step.text("to") {
            for piece in pieces {
                self.push_piece(reader, piece);
            }
        }
    }
}
