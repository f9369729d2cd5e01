use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tandem::HistogramSnapshot;

/// Figures that are read when somebody asks, as they are written down.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    pub(super) fn labelled(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: &[(&'static str, u64)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
        }
        Ok(())
    }

    /// From 16 µs to 34 s.
    pub(super) fn durations(
        &mut self,
        name: &str,
        help: &str,
        counted: &HistogramSnapshot,
    ) -> fmt::Result {
        self.histogram(name, help, counted, 14..=35, 1e9)
    }

    /// Buckets of the values below 2ⁿ, for each of the `exponents`; `unit` is
    /// the value of one on the page.
    #[expect(clippy::cast_precision_loss, reason = "figures for people and plots")]
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        counted: &HistogramSnapshot,
        exponents: std::ops::RangeInclusive<usize>,
        unit: f64,
    ) -> fmt::Result {
        let mut before = 0;
        let mut buckets = Vec::new();
        for exponent in exponents {
            let below = counted.below(exponent);
            buckets.push((((1_u64 << exponent) - 1) as f64 / unit, below - before));
            before = below;
        }
        buckets.push((f64::INFINITY, counted.count().saturating_sub(before)));
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(
            counted.sum() as f64 / unit,
            counted.count(),
            &buckets,
            None,
        )
    }
}
