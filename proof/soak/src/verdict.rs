//! When memory and files count as flat.
//!
//! The run is cut into quarters by time. The first is warm-up: caches fill,
//! the change log reaches its size. Then the *median* of the last quarter is
//! compared with the median of the second: a leak of one socket's buffers per
//! disconnect, or of one subscription per reconnect, grows with the load and
//! is far beyond the factor after minutes; a peak that comes and goes is not
//! seen by a median. A constant is added because small processes move more.

use crate::sample::Sample;

/// What the last quarter may have, relative to the second.
#[derive(Clone, Copy, Debug)]
pub struct Flat {
    pub factor: f64,
    pub slack: f64,
}

/// Resident memory, in KiB.
pub const MEMORY: Flat = Flat { factor: 1.25, slack: 16.0 * 1024.0 };

/// Open files. Tables and journals of the engine come and go.
pub const FILES: Flat = Flat { factor: 1.25, slack: 24.0 };

impl Flat {
    /// The medians of the second and last quarter, and whether they are flat.
    #[must_use]
    pub fn judge(&self, samples: &[Sample], figure: fn(&Sample) -> u64) -> (u64, u64, bool) {
        let end = samples.last().map_or(0.0, |sample| sample.at.as_secs_f64());
        let median = |from: f64, to: f64| {
            let within = |sample: &&Sample| {
                let at = sample.at.as_secs_f64() / end;
                at >= from && at <= to
            };
            let mut figures: Vec<u64> = samples.iter().filter(within).map(figure).collect();
            figures.sort_unstable();
            figures.get(figures.len() / 2).copied().unwrap_or_default()
        };
        let (early, late) = (median(0.25, 0.5), median(0.75, 1.0));
        let flat = early > 0 && late as f64 <= early as f64 * self.factor + self.slack;
        (early, late, flat)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn samples(figure: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |second| Sample {
            at: Duration::from_secs(second),
            resident_kib: figure(second),
            open_files: 0,
            metrics: Default::default(),
        };
        (0..=600).step_by(5).map(sample).collect()
    }

    #[test]
    fn a_plateau_after_the_warm_up_is_flat_and_a_peak_is_passed_over() {
        let plateau = samples(|at| if at == 500 { 9_000_000 } else { 200_000.min(2_000 * at) });
        let (early, late, flat) = MEMORY.judge(&plateau, |sample| sample.resident_kib);
        assert_eq!((early, late, flat), (200_000, 200_000, true));
    }

    #[test]
    fn a_slow_leak_is_noticed() {
        // 200 KiB a second over 60 MiB.
        let leak = samples(|at| 60_000 + 200 * at);
        assert!(!MEMORY.judge(&leak, |sample| sample.resident_kib).2);
    }
}
