//! What JavaScript may ask for: random words in the memory that the add-on shares with it. Node.js runs `commands.mjs`, which
//! gets one input after the other; it must live, and have nothing to complain about.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::Target;

/// Node.js is started by the first input, and anew after one that has found something.
#[derive(Default)]
pub struct CommandsTarget(Option<Node>);

struct Node {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Target for CommandsTarget {
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut node = match self.0.take() {
            Some(node) => node,
            None => Node::start()?,
        };
        node.run(input)?;
        self.0 = Some(node);
        Ok(())
    }
}

impl Node {
    fn start() -> Result<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("commands.mjs");
        let mut child = Command::new("node")
            .arg("--expose-gc")
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("Node.js is needed, and the add-on: npm run build")?;
        let input = child.stdin.take().context("its input")?;
        let output = child.stdout.take().context("its output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut answer = String::new();
        let sent = self
            .input
            .write_all(&(input.len() as u32).to_be_bytes())
            .and_then(|()| self.input.write_all(input))
            .and_then(|()| self.output.read_line(&mut answer));
        if sent.is_ok() && answer == "done\n" {
            return Ok(());
        }
        let status = self.child.wait()?;
        bail!("Node.js has ended: {status} {}", answer.trim());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It is over already, or no caller needs it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
