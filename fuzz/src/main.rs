//! Random drivers that compare what the code does with a model of it.
//!
//! ```text
//! cargo run -p netpoll-fuzz --release -- <target> [--seconds 10] [--seed N | --input FILE]
//! ```
//!
//! | target | drives | file |
//! |---|---|---|
//! | `framing` | a connection without its socket: framing, ids, bounds, refusals | `framing.rs` |
//! | `poller` | a poller over real sockets, with hostile peers and a clock that is put forward | `poller.rs` |
//! | `tls` | two ends of TLS, whose bytes are cut, held back and forged | `tls.rs` |
//! | `commands` | the add-on in Node.js, by random words in the memory that it shares | `commands.rs`, `commands.mjs` |
//!
//! An input is a list of bytes, from which a target takes its choices (`choices.rs`); a seed is a list of inputs. Those that
//! have found something are kept in `corpus/`, and come first.

mod choices;
mod commands;
mod framing;
mod poller;
mod reference;
mod tls;

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use choices::Random;

/// One thing that is driven.
trait Target {
    /// Does what an input says. Panics, or fails, where the code does not do what it should.
    fn run(&mut self, input: &[u8]) -> Result<()>;
}

/// What the command line asks for.
struct Arguments {
    target: String,
    time: Duration,
    seed: u64,
    input: Option<PathBuf>,
}

fn arguments() -> Result<Arguments> {
    let mut given = std::env::args().skip(1);
    let target = given
        .next()
        .context("a target: framing, poller, tls or commands")?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut arguments = Arguments {
        target,
        time: Duration::from_secs(10),
        seed: u64::from(since.subsec_nanos()),
        input: None,
    };
    while let Some(name) = given.next() {
        let value = given.next().with_context(|| format!("{name} of what?"))?;
        match name.as_str() {
            "--seconds" => arguments.time = Duration::from_secs(value.parse()?),
            "--seed" => arguments.seed = value.parse()?,
            "--input" => arguments.input = Some(value.into()),
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
    let mut target: Box<dyn Target> = match name {
        "framing" => Box::new(framing::FramingTarget),
        "poller" => Box::new(poller::PollerTarget),
        "tls" => Box::new(tls::TlsTarget::new()?),
        "commands" => Box::new(commands::CommandsTarget::default()),
        other => bail!("no target is called {other}"),
    };
    if let Some(file) = arguments.input {
        return attempt(target.as_mut(), &fs::read(file)?);
    }
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let saved = saved_inputs(&corpus)?;
    for file in &saved {
        let outcome = attempt(target.as_mut(), &fs::read(file)?);
        outcome.with_context(|| repetition(name, file))?;
    }
    println!(
        "{name}: {} saved inputs, seed {}",
        saved.len(),
        arguments.seed
    );
    let begun = Instant::now();
    let mut random = Random::new(arguments.seed);
    let mut count = 0_u64;
    while begun.elapsed() < arguments.time {
        let length = 16 << random.below(8);
        let input = random.bytes(length);
        if let Err(error) = attempt(target.as_mut(), &input) {
            fs::create_dir_all(&corpus)?;
            let file = corpus.join(format!("{}-{count}", arguments.seed));
            fs::write(&file, &input)?;
            let seconds = begun.elapsed().as_secs_f32();
            let found = format!("{name}: found after {count} inputs and {seconds:.1} s");
            return Err(error.context(repetition(name, &file)).context(found));
        }
        count += 1;
    }
    println!("{name}: {count} inputs, nothing found");
    Ok(())
}

fn saved_inputs(corpus: &Path) -> Result<Vec<PathBuf>> {
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
