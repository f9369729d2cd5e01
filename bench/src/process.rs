//! Processor time as the operating system counts it, and peers that are
//! processes of their own, so that it counts theirs alone.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::peer::Result;

/// What this process has used so far, all of its threads together.
pub fn own_processor_time() -> Duration {
    processor_time("self")
}

/// Nothing where `/proc` does not tell.
fn processor_time(process: &str) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    ticks(&text).map_or(Duration::ZERO, |ticks| Duration::from_millis(ticks * 10))
}

/// The memory that a process holds, in bytes; nothing where `/proc` does not tell.
pub fn resident_bytes(process: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// As [`own_processor_time`], of a process, of its children that live and of those
/// that it has seen end.
pub fn family_processor_time(parent: &str) -> Duration {
    let stat = |id: &str| std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let ended = fields(&stat(parent)).map_or(0, |fields| fields[2] + fields[3]);
    let living = children(parent).iter().map(|id| processor_time(id)).sum::<Duration>();
    processor_time(parent) + living + Duration::from_millis(ended * 10)
}

/// The memory of a process and its children, in which what several share is
/// counted once.
pub fn family_resident_bytes(parent: &str) -> Option<u64> {
    let mut kilobytes = 0;
    for id in children(parent).iter().map(String::as_str).chain([parent]) {
        let text = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        kilobytes += line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    }
    Some(kilobytes << 10)
}

fn children(parent: &str) -> Vec<String> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    list.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// The ticks in user and in kernel mode, of which there are 100 a second. Linux
/// derives them from the scheduler's exact account and not from sampling, so that
/// the sum is short of the truth by less than two of them.
fn ticks(stat: &str) -> Option<u64> {
    fields(stat).map(|fields| fields[0] + fields[1])
}

/// Ticks in user and in kernel mode, and the same of children that have ended.
fn fields(stat: &str) -> Option<[u64; 4]> {
    // The name in parentheses may hold spaces and parentheses; after it come the
    // fields from the third on, and these are the 14th to 17th.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Option<Vec<u64>> =
        after_name.split_whitespace().skip(11).take(4).map(|field| field.parse().ok()).collect();
    fields?.try_into().ok()
}

/// A process that serves, until this is dropped.
pub struct Serving {
    child: Child,
    address: SocketAddr,
}

impl Serving {
    /// Starts this program again with these arguments, which make it print where
    /// it listens: `{"listen": "host:port"}` on one line. It is of the same build
    /// then, and there is no path to guess.
    pub fn start(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take();
        // From here on it ends with this.
        let mut serving = Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let mut line = String::new();
        BufReader::new(out.ok_or("no pipe")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)
            .map_err(|_| format!("the server said {line:?} instead of where it listens"))?;
        serving.address = ready["listen"].as_str().ok_or("no address")?.parse()?;
        Ok(serving)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has used so far.
    pub fn processor_time(&self) -> Duration {
        processor_time(&self.child.id().to_string())
    }

    /// What it holds now.
    pub fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(&self.child.id().to_string())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticks_are_found_behind_any_name() {
        let stat = "4242 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 77 5 11 12 20 0 1 0 99";
        assert_eq!(fields(stat), Some([77, 5, 11, 12]));
        assert_eq!(ticks(stat), Some(82));
        assert_eq!(ticks(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn work_costs_processor_time() {
        let before = own_processor_time();
        let mut n = 0_u64;
        while own_processor_time() < before + Duration::from_millis(20) {
            n = std::hint::black_box(n + 1);
        }
        assert!(n > 0);
    }
}
