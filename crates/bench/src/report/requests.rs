//! The report of a load of requests.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{NOT_KNOWN, grouped, memory_text, quotient};
use crate::client::failure::Count;
use crate::client::measurement::Figures;
use crate::process::Memory;

/// The figures of a run, in the units in which they are read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    seconds: f64,
    requests: u64,
    requests_per_second: f64,
    unsent: u64,
    latency_microseconds: Latency,
    client: Client,
    server: Server,
    errors: Vec<Count>,
}

#[derive(Debug, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
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
    cpu_microseconds_per_request: Option<f64>,
    user_microseconds_per_request: Option<f64>,
    system_microseconds_per_request: Option<f64>,
    resident_bytes: Option<u64>,
    peak_resident_bytes: Option<u64>,
}

impl Report {
    /// Puts the figures into their units.
    pub fn new(figures: &Figures, memory: Option<Memory>, errors: Vec<Count>) -> Self {
        let seconds = figures.length.as_secs_f64();
        let share = |used: Duration| quotient(used.as_secs_f64(), seconds);
        let per_request =
            |used: Duration| quotient(used.as_secs_f64() * 1e6, figures.replies as f64);
        let latency = &figures.latency;
        let microseconds = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            seconds,
            requests: figures.replies,
            requests_per_second: quotient(figures.replies as f64, seconds),
            unsent: figures.unsent,
            latency_microseconds: Latency {
                mean: latency.mean() / 1e3,
                p50: microseconds(0.5),
                p90: microseconds(0.9),
                p99: microseconds(0.99),
                p999: microseconds(0.999),
                max: latency.max() as f64 / 1e3,
            },
            client: Client {
                cpu_share: share(figures.own),
            },
            server: Server {
                cpu_share: figures.server.map(|time| share(time.total)),
                cpu_microseconds_per_request: figures.server.map(|time| per_request(time.total)),
                user_microseconds_per_request: figures.server.map(|time| per_request(time.user)),
                system_microseconds_per_request: figures
                    .server
                    .map(|time| per_request(time.system)),
                resident_bytes: memory.map(|memory| memory.resident),
                peak_resident_bytes: memory.map(|memory| memory.peak),
            },
            errors,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency = &self.latency_microseconds;
        let mut line = |name: &str, value: &str| writeln!(formatter, "{name:<16}{value}");
        line(
            "requests",
            &format!("{} in {:.3} s", grouped(self.requests as f64), self.seconds),
        )?;
        line("requests/s", &grouped(self.requests_per_second))?;
        line(
            "latency (µs)",
            &format!(
                "p50 {:.1}   p90 {:.1}   p99 {:.1}   p99.9 {:.1}   max {:.1}",
                latency.p50, latency.p90, latency.p99, latency.p999, latency.max
            ),
        )?;
        if self.unsent > 0 {
            line(
                "unsent",
                &format!(
                    "{} requests were due but had to wait",
                    grouped(self.unsent as f64)
                ),
            )?;
        }
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
            self.cpu_microseconds_per_request,
            self.user_microseconds_per_request,
            self.system_microseconds_per_request,
            self.cpu_share,
        ) else {
            return NOT_KNOWN.into();
        };
        let share = share * 100.0;
        format!(
            "{total:.2} µs per request (user {user:.2}, system {system:.2}), {share:.0} % of a core"
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
    use anyhow::Result;
    use hdrhistogram::Histogram;

    use super::*;
    use crate::client::failure::{Failure, Failures, Kind};
    use crate::process::ProcessorTime;

    fn figures(server: Option<ProcessorTime>) -> Result<Figures> {
        let mut latency = Histogram::new(3)?;
        latency.record_n(100_000, 999)?;
        latency.record(1_000_000)?;
        let length = Duration::from_millis(500);
        Ok(Figures {
            length,
            replies: 1_000,
            unsent: 0,
            latency,
            own: length / 2,
            server,
        })
    }

    fn busy() -> ProcessorTime {
        let milliseconds = Duration::from_millis;
        ProcessorTime {
            total: milliseconds(400),
            user: milliseconds(100),
            system: milliseconds(300),
        }
    }

    #[test]
    fn text_names_every_figure() -> Result<()> {
        let memory = Memory {
            resident: 3_000_000,
            peak: 4_500_000,
        };
        let text = Report::new(&figures(Some(busy()))?, Some(memory), Vec::new()).to_string();
        for expected in [
            "requests        1,000 in 0.500 s",
            "requests/s      2,000",
            "p50 100.0   p90 100.0   p99 100.0   p99.9 100.0   max 1000.",
            "400.00 µs per request (user 100.00, system 300.00), 80 % of a core",
            "3.0 MB resident, 4.5 MB at its peak",
            "client CPU      50 % of a core",
            "errors          0",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
        Ok(())
    }

    #[test]
    fn json_says_null_for_what_is_not_known() -> Result<()> {
        let mut failures = Failures::default();
        failures.add(Failure::new(Kind::Closed, "after 3 replies"));
        let json = serde_json::to_value(Report::new(&figures(None)?, None, failures.counts()))?;
        assert_eq!(json["requestsPerSecond"], 2_000.0);
        assert_eq!(
            json["server"]["cpuMicrosecondsPerRequest"],
            serde_json::Value::Null
        );
        assert_eq!(json["client"]["cpuShare"], 0.5);
        assert_eq!(json["errors"][0]["kind"], "closed");
        assert_eq!(json["errors"][0]["first"], "after 3 replies");
        Ok(())
    }

    #[test]
    fn a_run_without_replies_has_no_infinite_figures() -> Result<()> {
        let empty = Figures {
            length: Duration::ZERO,
            replies: 0,
            ..figures(Some(busy()))?
        };
        let json = serde_json::to_value(Report::new(&empty, None, Vec::new()))?;
        assert_eq!(json["requestsPerSecond"], 0.0);
        assert_eq!(json["server"]["cpuShare"], 0.0);
        Ok(())
    }
}
