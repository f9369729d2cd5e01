//! The verdict of `adya`, over the exported text: what is judged here is what
//! anybody else can judge with Elle.

use std::collections::BTreeSet;
use std::time::Duration;

use adya::{Opts, Valid, Workload};

use crate::edn;
use crate::history::{History, Kind, Model};

/// What the checker found.
#[derive(Debug)]
pub struct Verdict {
    /// Whether the history is as the model demands.
    pub valid: Valid,
    /// The kinds of anomalies that it holds against the history.
    pub anomalies: BTreeSet<String>,
    /// The first one of each kind, with its proof.
    pub proofs: String,
}

/// A history as the checker has read it, to be judged more than once.
pub struct Parsed {
    history: adya::History,
    workload: Workload,
    order: Option<std::collections::HashMap<u64, i64>>,
}

impl Parsed {
    /// Reads the history's text.
    ///
    /// # Panics
    /// When the checker cannot read it.
    #[must_use]
    pub fn new(history: &History) -> Self {
        let parsed = adya::History::from_edn(&edn::text(history)).expect("the text is EDN");
        let registers = history.model == Model::Registers;
        Self {
            history: parsed,
            workload: if registers { Workload::RwRegister } else { Workload::ListAppend },
            // Registers hide their order of versions; commits say it.
            order: registers.then(|| commits(history)),
        }
    }

    /// Judges the history by a consistency model.
    #[must_use]
    pub fn judge(&self, model: &str) -> Verdict {
        let options = Opts {
            models: vec![model.to_owned()],
            timeout: Duration::from_secs(60),
            transaction_order: self.order.clone(),
            ..Opts::default()
        };
        let report = adya::check(&self.history, self.workload, &options);
        let first = |(kind, found): (&String, &Vec<adya::Anomaly>)| {
            let proof = found.first().map(|anomaly| anomaly.explanation.as_str());
            format!("{kind} ({} times):\n{}\n", found.len(), proof.unwrap_or_default())
        };
        Verdict {
            valid: report.valid,
            anomalies: report.anomaly_types.into_iter().collect(),
            proofs: report.anomalies.iter().map(first).collect(),
        }
    }
}

fn commits(history: &History) -> std::collections::HashMap<u64, i64> {
    let committed = |(place, operation): (usize, &crate::history::Operation)| {
        let revision = operation.revision.filter(|_| operation.kind == Kind::Ok)?;
        Some((place as u64, i64::try_from(revision).ok()?))
    };
    history.operations.iter().enumerate().filter_map(committed).collect()
}
