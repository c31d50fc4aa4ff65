//! Random drivers that compare what the code does with a model of it.
//!
//! ```text
//! cargo run -p netpoll-fuzz --release -- <target> [--seconds 10] [--seed N | --input FILE | --digits HEX] [--keep BYTES]
//! ```
//!
//! | target | drives | file |
//! |---|---|---|
//! | `framing` | a connection without its socket: framing, ids, bounds, refusals | `framing.rs` |
//! | `poller` | a poller over real sockets, with hostile peers and a clock that is put forward | `poller.rs` |
//! | `slow` | a poller whose peers read slowly, and the memory that it keeps for them | `slow.rs` |
//! | `workers` | workers that come, go and answer in any order, over unix sockets | `workers.rs` |
//! | `link_buffer` | the link buffer's reader and writer | `link_buffer.rs` |
//! | `tls` | two ends of TLS, whose bytes are cut, held back and forged | `tls.rs` |
//! | `thrift` | decoders and encoders of Thrift's formats, in Node.js | `node.rs`, `thrift.mjs` |
//! | `commands` | the add-on in Node.js, by random words in the memory that it shares | `node.rs`, `commands.mjs` |
//!
//! An input is a list of bytes, from which a target takes its choices (`choices.rs`); a seed is a list of inputs. Those that
//! have found something are kept in `corpus/<target>/`, and come first. So do the lines of `corpus/<target>.hex`, of which
//! each reaches code that those before it do not. `npm run fuzz:guided` makes them: with `--keep` they are written, the
//! shortest first, up to so many bytes (`guide.rs`).

mod choices;
mod drive;
mod framing;
mod guide;
mod link_buffer;
mod node;
mod poller;
mod reference;
mod slow;
mod tls;
mod workers;

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use choices::Random;
use guide::Guide;

/// One thing that is driven.
trait Target {
    /// Does what an input says. Panics, or fails, where the code does not do what it should.
    fn run(&mut self, input: &[u8]) -> Result<()>;

    /// Whether the last input has reached something new, of which the counters of this process say nothing.
    fn has_reached_more(&self) -> bool {
        false
    }
}

/// Names of all that can be driven.
const TARGETS: [&str; 8] = [
    "framing",
    "poller",
    "slow",
    "workers",
    "link_buffer",
    "tls",
    "thrift",
    "commands",
];

fn target_named(name: &str) -> Result<Box<dyn Target>> {
    Ok(match name {
        "framing" => Box::new(framing::FramingTarget),
        "poller" => Box::new(poller::PollerTarget),
        "slow" => Box::new(slow::SlowTarget),
        "workers" => Box::new(workers::WorkersTarget),
        "link_buffer" => Box::new(link_buffer::LinkBufferTarget),
        "tls" => Box::new(tls::TlsTarget::new()?),
        "thrift" => Box::new(node::NodeTarget::new("thrift.mjs")),
        "commands" => Box::new(node::NodeTarget::new("commands.mjs")),
        other => bail!("no target is called {other}"),
    })
}

/// What the command line asks for.
struct Arguments {
    target: String,
    time: Duration,
    seed: u64,
    input: Option<Vec<u8>>,
    keep: Option<usize>,
}

fn arguments() -> Result<Arguments> {
    let mut given = std::env::args().skip(1);
    let target = given
        .next()
        .with_context(|| format!("a target: {}", TARGETS.join(", ")))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut arguments = Arguments {
        target,
        time: Duration::from_secs(10),
        seed: u64::from(since.subsec_nanos()),
        input: None,
        keep: None,
    };
    while let Some(name) = given.next() {
        let value = given.next().with_context(|| format!("{name} of what?"))?;
        match name.as_str() {
            "--seconds" => arguments.time = Duration::from_secs(value.parse()?),
            "--seed" => arguments.seed = value.parse()?,
            "--input" => arguments.input = Some(fs::read(&value).context(value)?),
            "--digits" => arguments.input = Some(bytes_of(&value)?),
            "--keep" => arguments.keep = Some(value.parse()?),
            other => bail!("no option is called {other}"),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    match campaign() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn campaign() -> Result<()> {
    let arguments = arguments()?;
    let name = arguments.target.as_str();
    let mut target = target_named(name)?;
    if let Some(input) = arguments.input {
        return attempt(target.as_mut(), &input);
    }
    let mut guide = Guide::new();
    let corpus = corpus_of(name);
    let saved = replay(name, target.as_mut(), &mut guide)?;
    println!("{name}: {saved} saved inputs, seed {}", arguments.seed);
    let begun = Instant::now();
    let mut random = Random::new(arguments.seed);
    let mut count = 0_u64;
    while begun.elapsed() < arguments.time {
        let input = guide.next(&mut random);
        guide.begin();
        if let Err(error) = attempt(target.as_mut(), &input) {
            fs::create_dir_all(&corpus)?;
            let file = corpus.join(format!("{}-{count}", arguments.seed));
            fs::write(&file, &input)?;
            let seconds = begun.elapsed().as_secs_f32();
            let seed = arguments.seed;
            let found =
                format!("{name}, seed {seed}: found after {count} inputs and {seconds:.1} s");
            // Where the file is gone with its machine, the log has it.
            let digits = digits_of(&input);
            eprintln!("cargo run -p netpoll-fuzz --release -- {name} --digits {digits}");
            return Err(error.context(repetition(name, &file)).context(found));
        }
        guide.end(&input, target.has_reached_more());
        count += 1;
    }
    println!("{name}: {count} inputs, nothing found");
    match arguments.keep {
        Some(most) => keep(&corpus, guide, target_named(name)?.as_mut(), most),
        None => Ok(()),
    }
}

fn corpus_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name)
}

/// Runs what is saved, and returns how much that is.
fn replay(name: &str, target: &mut dyn Target, guide: &mut Guide) -> Result<usize> {
    let corpus = corpus_of(name);
    let mut count = 0;
    for file in saved_files(&corpus)? {
        let repetition = || repetition(name, &file);
        run_saved(&fs::read(&file)?, target, guide).with_context(repetition)?;
        count += 1;
    }
    let file = corpus.with_extension("hex");
    let lines = fs::read_to_string(&file).unwrap_or_default();
    for (index, line) in lines.lines().enumerate() {
        let input = bytes_of(line).with_context(|| format!("{}", file.display()))?;
        let place = || format!("it is line {} of {}", index + 1, file.display());
        run_saved(&input, target, guide).with_context(place)?;
        count += 1;
    }
    Ok(count)
}

fn run_saved(input: &[u8], target: &mut dyn Target, guide: &mut Guide) -> Result<()> {
    guide.begin();
    attempt(target, input)?;
    guide.end_saved(input, target.has_reached_more());
    Ok(())
}

/// The bytes that hexadecimal digits say.
fn bytes_of(line: &str) -> Result<Vec<u8>> {
    let pairs = line.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
    bytes.collect()
}

/// No input is longer than some thousand bytes.
fn digits_of(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the shortest inputs that together reach what all have, in the place of those that were written before.
fn keep(corpus: &Path, all: Guide, target: &mut dyn Target, most: usize) -> Result<()> {
    let mut inputs = all.inputs;
    inputs.sort_by_key(Vec::len);
    let mut guide = Guide::new();
    for input in inputs {
        guide.begin();
        attempt(target, &input)?;
        guide.end(&input, target.has_reached_more());
    }
    let (mut lines, mut total) = (String::new(), 0);
    for input in &guide.inputs {
        total += input.len();
        if total > most {
            break;
        }
        lines.extend([digits_of(input), "\n".to_owned()]);
    }
    fs::write(corpus.with_extension("hex"), lines)?;
    Ok(())
}

/// Those that have found something.
fn saved_files(corpus: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(corpus) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn repetition(target: &str, file: &Path) -> String {
    let file = file.display();
    format!("to repeat it: cargo run -p netpoll-fuzz --release -- {target} --input {file}")
}

/// A panic is a failure like any other.
fn attempt(target: &mut dyn Target, input: &[u8]) -> Result<()> {
    match catch_unwind(AssertUnwindSafe(|| target.run(input))) {
        Ok(outcome) => outcome,
        Err(panic) => bail!("{}", panic_message(panic.as_ref())),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that need Node.js, and what is built for it.
    const OF_NODE: [&str; 2] = ["thrift", "commands"];

    /// Those that need what is built for Node.js are replayed by `.ci/run`.
    #[test]
    fn nothing_is_found_by_what_is_saved() -> Result<()> {
        for name in TARGETS.into_iter().filter(|name| !OF_NODE.contains(name)) {
            let mut target = target_named(name)?;
            let count = replay(name, target.as_mut(), &mut Guide::new())?;
            assert!(count > 0, "nothing is saved for {name}");
        }
        Ok(())
    }
}
