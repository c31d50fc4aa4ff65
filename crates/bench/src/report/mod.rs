//! What a run found, as text for people or as JSON for programs.

pub mod requests;
pub mod transfer;

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

use anyhow::Result;
use serde::Serialize;

use crate::process::Memory;

/// Prints a report to the standard output.
pub fn print<Report: Serialize + Display>(report: &Report, as_json: bool) -> Result<()> {
    let text = if as_json {
        serde_json::to_string(report)? + "\n"
    } else {
        report.to_string()
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// What stands for a figure that the system does not tell.
const NOT_KNOWN: &str = "not known (see --pid)";

/// Says what a process takes, in megabytes.
fn memory_text(memory: Option<Memory>) -> String {
    let megabytes = |bytes| bytes as f64 / 1e6;
    match memory {
        Some(Memory { resident, peak }) => format!(
            "{:.1} MB resident, {:.1} MB at its peak",
            megabytes(resident),
            megabytes(peak)
        ),
        None => NOT_KNOWN.into(),
    }
}

/// 0 where there is nothing to divide by.
fn quotient(dividend: f64, divisor: f64) -> f64 {
    if divisor > 0.0 {
        dividend / divisor
    } else {
        0.0
    }
}

/// A whole number with a comma between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        // Writing to a string cannot fail.
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0.0, 999.0, 1_000.0, 12_345_678.4].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "12,345,678"]);
    }
}
