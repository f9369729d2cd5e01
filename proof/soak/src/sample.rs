use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::served::Served;

/// What the process looked like at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Duration,
    pub resident_kib: u64,
    pub open_files: u64,
    /// The plain counters and gauges of `/metrics`; those with labels summed.
    pub metrics: BTreeMap<String, f64>,
}

impl Sample {
    /// Takes one.
    pub async fn take(served: &Served, since: Instant) -> Self {
        let metrics = parse(&served.metrics().await);
        Self {
            at: since.elapsed(),
            resident_kib: served.resident_kib(),
            open_files: served.open_files(),
            metrics,
        }
    }

    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        self.metrics.get(name).copied().unwrap_or_default()
    }
}

fn parse(page: &str) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("tandem_")) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let name = series.split('{').next().unwrap_or_default();
        if let Ok(value) = value.parse::<f64>() {
            *metrics.entry(name.to_owned()).or_default() += value;
        }
    }
    metrics
}
