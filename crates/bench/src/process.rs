//! What a process has used: processor time and memory.
//!
//! Linux tells both of any process. Elsewhere only our own processor time is
//! known, and the rest of the report says so.

use std::io;
use std::time::Duration;

/// Processor time used since a process started, over all its threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessorTime {
    /// User and system together, to the nanosecond.
    pub total: Duration,
    /// Time in user mode, in steps of the kernel's accounting tick.
    pub user: Duration,
    /// Time in the kernel, in steps of the kernel's accounting tick.
    pub system: Duration,
}

impl ProcessorTime {
    /// What was used between `earlier` and this reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// Processor time of this process.
pub fn own_processor_time() -> io::Result<Duration> {
    clock_time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time of the process `pid`.
#[cfg(target_os = "linux")]
pub fn processor_time(pid: u32) -> io::Result<ProcessorTime> {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for the answer.
    let code = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    let total = clock_time(clock)?;
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // SAFETY: reads a constant of the system.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let (user, system) =
        parse_stat(&text, ticks_per_second.max(1).cast_unsigned()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "/proc/PID/stat is not understood",
            )
        })?;
    Ok(ProcessorTime {
        total,
        user,
        system,
    })
}

/// Memory of the process `pid`.
#[cfg(target_os = "linux")]
pub fn memory(pid: u32) -> io::Result<Memory> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/status has no VmRSS");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rough = parse_kilobytes(&status, "VmRSS").ok_or_else(invalid)?;
    // The counters of `status` are summed lazily; this one walks the mappings. It
    // is missing in some containers.
    let exact = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .ok()
        .and_then(|text| parse_kilobytes(&text, "Rss"));
    let resident = exact.unwrap_or(rough);
    Ok(Memory {
        resident,
        peak: parse_kilobytes(&status, "VmHWM")
            .unwrap_or(rough)
            .max(resident),
    })
}

/// Processor time of another process is not known on this system.
#[cfg(not(target_os = "linux"))]
pub fn processor_time(_pid: u32) -> io::Result<ProcessorTime> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Memory of another process is not known on this system.
#[cfg(not(target_os = "linux"))]
pub fn memory(_pid: u32) -> io::Result<Memory> {
    Err(io::ErrorKind::Unsupported.into())
}

fn clock_time(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(
        time.tv_sec.cast_unsigned(),
        time.tv_nsec as u32,
    ))
}

/// User and system time in the text of `/proc/PID/stat`. The second field, the
/// command in parentheses, may itself hold spaces and parentheses.
#[cfg(any(target_os = "linux", test))]
fn parse_stat(text: &str, ticks_per_second: u64) -> Option<(Duration, Duration)> {
    let (_, after_command) = text.rsplit_once(") ")?;
    let mut fields = after_command.split_whitespace().skip(11);
    let mut time = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_secs_f64(
            ticks as f64 / ticks_per_second as f64,
        ))
    };
    Some((time()?, time()?))
}

/// The bytes in a line `Name:   123 kB` of a file of `/proc`.
#[cfg(any(target_os = "linux", test))]
fn parse_kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_behind_an_odd_command() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 1 0 5 6 7";
        let expected = (Duration::from_millis(1500), Duration::from_millis(250));
        assert_eq!(parse_stat(text, 100), Some(expected));
    }

    #[test]
    fn a_cut_stat_is_no_time() {
        assert_eq!(
            parse_stat("42 (a) S 1 42 42 0 -1 4194304 100 0 0 0 150", 100),
            None
        );
        assert_eq!(parse_stat("", 100), None);
    }

    #[test]
    fn reads_kilobytes_of_the_very_name() {
        let text = "VmPeak:\t   10 kB\nVmRSS:\t    3128 kB\nRssAnon: 1 kB\n";
        assert_eq!(parse_kilobytes(text, "VmRSS"), Some(3128 * 1024));
        assert_eq!(parse_kilobytes(text, "Rss"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn knows_this_process() {
        let pid = std::process::id();
        assert!(processor_time(pid).is_ok_and(|time| time.total > Duration::ZERO));
        assert!(
            memory(pid).is_ok_and(|memory| memory.peak >= memory.resident && memory.resident > 0)
        );
    }
}
