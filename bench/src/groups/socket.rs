//! A server and its clients: what a request costs over the socket, and how soon a
//! commit is known to those who follow it.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tandem_storage::Durability;

use super::{Context, Group, check_counts};
use crate::delivery::{Plan, deliver};
use crate::measure::{Line, measure};
use crate::peer::{Peer, Request, Result};
use crate::peers::loopback::Loopback;
use crate::peers::served::Served;
use crate::peers::tandem::Tandem;
use crate::report::Report;
use crate::workload::{Requests, Transfers};

pub struct Socket;

const REQUESTS: [(Request, &str); 3] =
    [(Request::Get, "get"), (Request::Insert, "insert"), (Request::Batch, "batch of 3")];

/// Sockets, and requests under way on each.
const SHAPES: [(usize, usize); 2] = [(1, 1), (8, 16)];

/// The line that the targets are of.
const BUSY_GET: &str = "get, 8 × 16";

/// Commits that are followed.
const INTERVAL: Duration = Duration::from_millis(10);

impl Group for Socket {
    fn name(&self) -> &'static str {
        "socket"
    }

    fn about(&self) -> &'static str {
        "requests to a server process, sockets × requests under way on each, beside as many bytes \
         there and back; cpu µs is the server's process alone, but that of the embedded line all"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let Context { data, many, plan, .. } = context;
        let served = Arc::new(Served::start(&context.directory()?, data)?);
        let embedded = Tandem::open(&context.directory()?, data, Durability::Sync)?;
        let loopback = Loopback::start()?;
        let next = Arc::new(AtomicU64::new(1_000_000_000));
        let mut lines = Vec::new();
        let mut sizes = String::new();
        for (request, name) in REQUESTS {
            let requests = |in_flight| {
                let next = next.clone();
                Arc::new(Requests { data: *data, request, in_flight, next })
            };
            let bytes = served.sizes(&requests(1))?;
            let _ = write!(sizes, " {name} {} and {},", bytes.request, bytes.answer);
            let raw: Arc<dyn Peer> = Arc::new(Loopback::new(loopback.clone(), bytes));
            for (clients, in_flight) in SHAPES {
                let label = format!("{name}, {clients} × {in_flight}");
                let (raw, workload) = (raw.clone(), requests(in_flight));
                let peer = served.clone();
                lines.push(Line {
                    label: format!("raw {label}"),
                    peer: raw,
                    workload: workload.clone(),
                    clients,
                });
                lines.push(Line { label, peer, workload, clients });
            }
        }
        let peers: [(&str, Arc<dyn Peer>); 2] =
            [("embedded", Arc::new(embedded)), ("socket", served.clone())];
        let workload = Arc::new(Transfers::new(*data));
        for (name, peer) in peers {
            let (label, workload) = (format!("transfer, {name}"), workload.clone());
            lines.push(Line { label, peer, workload, clients: *many });
        }
        let measured = measure(&lines, plan)?;
        check_counts(&lines, &measured, data.len())?;

        let mut report = Report::new(self.name(), self.about(), measured);
        for (_, name) in REQUESTS {
            for (clients, in_flight) in SHAPES {
                let label = format!("{name}, {clients} × {in_flight}");
                report = report.ratio(&label, &format!("raw {label}"), None);
            }
        }
        report = report.ratio("transfer, socket", "transfer, embedded", None);
        report = judge_the_busy_get(report);
        if plan.only.is_empty() || plan.only.iter().any(|label| label == "delivery") {
            report = with_delivery(report, context, &served)?;
        }
        let clients = clients_share(&report);
        Ok(report
            .note(format!("Bytes of a request and of its answer:{sizes} frames included.\n"))
            .note(clients))
    }
}

fn judge_the_busy_get(report: Report) -> Report {
    let counted = report.line(BUSY_GET).filter(|line| !line.latency.is_empty());
    let Some(line) = counted else { return report };
    let micros = line.cpu_per_step.as_nanos() as f64 / 1_000.0;
    let [p50, p99] = [0.5, 0.99].map(|q| line.latency.value_at_quantile(q) as f64);
    report
        .at_most(
            format!("{BUSY_GET}: processor time of the server per request"),
            micros,
            "µs",
            15.0,
        )
        .at_most(format!("{BUSY_GET}: p99 over p50"), p99 / f64::max(p50, 1.0), "×", 3.0)
}

fn with_delivery(report: Report, context: &Context, served: &Served) -> Result<Report> {
    let subscribers = context.subscribers;
    let length = context.plan.round * u32::try_from(context.plan.rounds)?;
    let commits = (length.as_nanos() / INTERVAL.as_nanos()) as usize;
    let plan =
        Plan { subscribers, warm_up: commits / 4, commits: commits.max(10), interval: INTERVAL };
    let delivered = deliver(served, plan)?;
    let milliseconds = |times: &hdrhistogram::Histogram<u64>| {
        [0.5, 0.99, 1.0].map(|q| times.value_at_quantile(q) as f64 / 1e6)
    };
    let describe = |times| {
        let [p50, p99, most] = milliseconds(times);
        format!("p50 {p50:.2} ms, p99 {p99:.2} ms, most {most:.2} ms")
    };
    let micros = delivered.cpu.map(|time| time.as_nanos() as f64 / 1_000.0);
    let p99 = milliseconds(&delivered.from_sending)[1];
    Ok(report
        .at_most(format!("delivery to {subscribers}: p99 from sending the commit"), p99, "ms", 20.0)
        .note(format!(
            "Delivery, {} commits at {} per second to {subscribers} changes subscriptions over {} \
             sockets, survives {}: from sending the commit {}; from its answer {}; the commit itself \
             {}. Processor time per push: server {:.1} µs, subscribers {:.1} µs.\n",
            plan.commits,
            Duration::from_secs(1).as_nanos() / INTERVAL.as_nanos(),
            delivered.sockets,
            served.durability(),
            describe(&delivered.from_sending),
            describe(&delivered.from_acknowledgement),
            describe(&delivered.commit),
            micros[0],
            micros[1],
        )))
}

/// The clients run on the same cores, so what they take bounds the rates too.
fn clients_share(report: &Report) -> String {
    let mut note = "Processor time of the clients per request, in µs:".to_owned();
    let over_a_socket = report.measured.iter().filter(|line| line.label != "transfer, embedded");
    for (number, line) in over_a_socket.enumerate() {
        let micros = line.own_cpu_per_step.as_nanos() as f64 / 1_000.0;
        let comma = if number == 0 { "" } else { ";" };
        let _ = write!(note, "{comma} {} {micros:.1}", line.label);
    }
    note.push_str(".\n");
    note
}
