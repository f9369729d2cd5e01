use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::live::SubscriptionStatistics;
use crate::metrics::page::Page;

/// What subscriptions have cost until now.
#[derive(Debug)]
pub(super) struct SubscriptionFigures(pub(super) SubscriptionStatistics);

impl Collector for SubscriptionFigures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let figures = &self.0;
        let counters = [
            ("tandem_pushes", "Pushes queued", figures.pushes),
            (
                "tandem_pushes_coalesced",
                "Pushes that took the place of one that was not sent yet",
                figures.coalesced,
            ),
            ("tandem_resyncs", "Subscriptions told to start anew", figures.resyncs),
            (
                "tandem_live_filters_tested",
                "Filters of subscribed queries tested against a change",
                figures.filters_tested,
            ),
            (
                "tandem_live_changes_applied",
                "Changes applied to results of subscribed queries",
                figures.changes_applied,
            ),
            ("tandem_live_queries_run", "Subscribed queries run", figures.queries_run),
            (
                "tandem_live_results_encoded",
                "Results of subscribed queries encoded",
                figures.results_encoded,
            ),
            (
                "tandem_live_queries_shared",
                "Subscriptions to a query that had a subscriber already",
                figures.queries_shared,
            ),
            (
                "tandem_changes_encoded",
                "Changes encoded for subscriptions to changes",
                figures.changes_encoded,
            ),
            ("tandem_initial_records", "Initial records handed over", figures.initial_records),
        ];
        for (name, help, value) in counters {
            page.counter(name, help, value)?;
        }
        let help = "Bytes of kept results of subscribed queries";
        page.gauge("tandem_live_kept_bytes", help, figures.kept_bytes)
    }
}
