//! Histories in the EDN of Jepsen, which Elle and adya read: one map a line.
//!
//! ```text
//! {:type :ok, :f :txn, :value [[:append 3 1] [:r 3 [1]]], :process 0, :time 9, :index 1}
//! ```

use std::fmt::Write;

use crate::history::{History, Kind, Model, Step};

/// The whole history as text.
#[must_use]
pub fn text(history: &History) -> String {
    let mut out = String::new();
    for (index, operation) in history.operations.iter().enumerate() {
        let kind = match operation.kind {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        };
        let _ = write!(out, "{{:type :{kind}, :f :txn, :value [");
        for (place, one) in operation.steps.iter().enumerate() {
            if place > 0 {
                out.push(' ');
            }
            step(&mut out, history.model, one);
        }
        let (process, time) = (operation.process, operation.time);
        let _ = writeln!(out, "], :process {process}, :time {time}, :index {index}}}");
    }
    out
}

fn step(out: &mut String, model: Model, step: &Step) {
    let _ = match step {
        Step::Append { key, value } => write!(out, "[:append {key} {value}]"),
        Step::Write { key, value } => write!(out, "[:w {key} {value}]"),
        Step::Read { key, values: None } => write!(out, "[:r {key} nil]"),
        Step::Read { key, values: Some(values) } => match (model, values.first()) {
            (Model::Registers, None) => write!(out, "[:r {key} nil]"),
            (Model::Registers, Some(value)) => write!(out, "[:r {key} {value}]"),
            (Model::Lists, _) => {
                let values: Vec<String> = values.iter().map(u64::to_string).collect();
                write!(out, "[:r {key} [{}]]", values.join(" "))
            }
        },
    };
}
