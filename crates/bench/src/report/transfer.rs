//! The report of a transfer.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{NOT_KNOWN, grouped, memory_text, quotient};
use crate::args::Direction;
use crate::client::failure::Count;
use crate::process::Memory;
use crate::transfer::Figures;

const GIBIBYTE: f64 = (1_u64 << 30) as f64;

/// The figures of a transfer, in the units in which they are read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    direction: Direction,
    bytes: u64,
    seconds: f64,
    /// Millions of bytes each second.
    megabytes_per_second: f64,
    client: Client,
    server: Server,
    errors: Vec<Count>,
}

/// A share is a part of one core: 1 is a core that was always busy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    cpu_share: f64,
}

/// `null` where the system does not tell, or no process id was given.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    cpu_share: Option<f64>,
    cpu_milliseconds_per_gibibyte: Option<f64>,
    user_milliseconds_per_gibibyte: Option<f64>,
    system_milliseconds_per_gibibyte: Option<f64>,
    resident_bytes: Option<u64>,
    peak_resident_bytes: Option<u64>,
}

impl Report {
    /// Puts the figures into their units.
    pub fn new(figures: &Figures, memory: Option<Memory>, errors: Vec<Count>) -> Self {
        let seconds = figures.length.as_secs_f64();
        let bytes = figures.bytes as f64;
        let share = |used: Duration| quotient(used.as_secs_f64(), seconds);
        let per_gibibyte = |used: Duration| quotient(used.as_secs_f64() * 1e3, bytes / GIBIBYTE);
        let server = figures.server;
        Self {
            direction: figures.direction,
            bytes: figures.bytes,
            seconds,
            megabytes_per_second: quotient(bytes / 1e6, seconds),
            client: Client {
                cpu_share: share(figures.own),
            },
            server: Server {
                cpu_share: server.map(|time| share(time.total)),
                cpu_milliseconds_per_gibibyte: server.map(|time| per_gibibyte(time.total)),
                user_milliseconds_per_gibibyte: server.map(|time| per_gibibyte(time.user)),
                system_milliseconds_per_gibibyte: server.map(|time| per_gibibyte(time.system)),
                resident_bytes: memory.map(|memory| memory.resident),
                peak_resident_bytes: memory.map(|memory| memory.peak),
            },
            errors,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &str| writeln!(formatter, "{name:<16}{value}");
        let bytes = grouped(self.bytes as f64);
        line(
            &self.direction.to_string(),
            &format!("{bytes} bytes in {:.3} s", self.seconds),
        )?;
        line("MB/s", &grouped(self.megabytes_per_second))?;
        line("server CPU", &self.server.cpu())?;
        line("server memory", &memory_text(self.server.memory()))?;
        line(
            "client CPU",
            &format!("{:.0} % of a core", self.client.cpu_share * 100.0),
        )?;
        line(
            "errors",
            &grouped(self.errors.iter().map(|error| error.count).sum::<u64>() as f64),
        )
    }
}

impl Server {
    fn cpu(&self) -> String {
        let (Some(total), Some(user), Some(system), Some(share)) = (
            self.cpu_milliseconds_per_gibibyte,
            self.user_milliseconds_per_gibibyte,
            self.system_milliseconds_per_gibibyte,
            self.cpu_share,
        ) else {
            return NOT_KNOWN.into();
        };
        let share = share * 100.0;
        format!(
            "{total:.0} ms per GiB (user {user:.0}, system {system:.0}), {share:.0} % of a core"
        )
    }

    fn memory(&self) -> Option<Memory> {
        self.resident_bytes
            .zip(self.peak_resident_bytes)
            .map(|(resident, peak)| Memory { resident, peak })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessorTime;

    fn figures(server: Option<ProcessorTime>) -> Figures {
        Figures {
            direction: Direction::Download,
            bytes: 1 << 29,
            length: Duration::from_millis(500),
            own: Duration::from_millis(250),
            server,
        }
    }

    #[test]
    fn text_names_every_figure() {
        let milliseconds = Duration::from_millis;
        let server = ProcessorTime {
            total: milliseconds(400),
            user: milliseconds(100),
            system: milliseconds(300),
        };
        let memory = Memory {
            resident: 3_000_000,
            peak: 4_500_000,
        };
        let text = Report::new(&figures(Some(server)), Some(memory), Vec::new()).to_string();
        for expected in [
            "download        536,870,912 bytes in 0.500 s",
            "MB/s            1,074",
            "800 ms per GiB (user 200, system 600), 80 % of a core",
            "3.0 MB resident, 4.5 MB at its peak",
            "client CPU      50 % of a core",
            "errors          0",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
    }

    #[test]
    fn json_says_null_for_what_is_not_known() -> serde_json::Result<()> {
        let json = serde_json::to_value(Report::new(&figures(None), None, Vec::new()))?;
        assert_eq!(json["direction"], "download");
        assert_eq!(json["bytes"], 1 << 29);
        assert_eq!(
            json["server"]["cpuMillisecondsPerGibibyte"],
            serde_json::Value::Null
        );
        assert_eq!(json["client"]["cpuShare"], 0.5);
        Ok(())
    }
}
