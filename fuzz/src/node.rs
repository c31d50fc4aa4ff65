//! Targets that run in Node.js, which gets one input after the other. It must live, and have nothing to complain about.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::Target;

/// Node.js is started by the first input, and anew after one that has found something.
pub struct NodeTarget {
    program: &'static str,
    node: Option<Node>,
    has_reached_more: bool,
}

impl NodeTarget {
    /// Of a program beside `src`.
    pub fn new(program: &'static str) -> Self {
        Self {
            program,
            node: None,
            has_reached_more: false,
        }
    }
}

struct Node {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Target for NodeTarget {
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut node = match self.node.take() {
            Some(node) => node,
            None => Node::start(self.program)?,
        };
        self.has_reached_more = node.run(input)?;
        self.node = Some(node);
        Ok(())
    }

    fn has_reached_more(&self) -> bool {
        self.has_reached_more
    }
}

impl Node {
    fn start(program: &str) -> Result<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
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

    /// Returns whether it says that the input has reached something new.
    fn run(&mut self, input: &[u8]) -> Result<bool> {
        let mut answer = String::new();
        let sent = self
            .input
            .write_all(&(input.len() as u32).to_be_bytes())
            .and_then(|()| self.input.write_all(input))
            .and_then(|()| self.output.read_line(&mut answer));
        if sent.is_ok() && ["done\n", "more\n"].contains(&answer.as_str()) {
            return Ok(answer == "more\n");
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
