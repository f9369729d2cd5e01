//! `tandem serve`: a server until a signal stops it.
//!
//! Standard output carries one line, the *ready* line, so that a program that
//! starts the server learns where it listens; everything else is logged to
//! standard error.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tandem::{Code, Error, Result};
use tandem_server::{BLOCKING_THREADS, Config, Server, ServerOptions};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What `tandem serve` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The config file: one JSON object.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where administrators may send requests without a login: a loopback
    /// address, unless the config says "adminListenBeyondLoopback": true.
    #[arg(long, value_name = "HOST:PORT")]
    admin_listen: Option<String>,
    /// The store's directory, instead of the config's.
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data: Option<PathBuf>,
    /// Keep the data in memory only.
    #[arg(long)]
    memory: bool,
}

/// How long a blocking thread waits for work before it ends. The pool hands
/// work to its threads in turn, so with a long rest the most that a burst has
/// ever needed stay for good, each with an allocator's pages of its own.
const THREAD_REST: Duration = Duration::from_millis(200);

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    start_logging();
    let config = configuration(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(THREAD_REST)
        .build()
        .map_err(|error| Error::new(Code::StorageError, format!("Cannot start: {error}")))?;
    let mut options = ServerOptions::new(config).listen(&arguments.listen);
    options.admin_listen.clone_from(&arguments.admin_listen);
    runtime.block_on(serve(options))
}

async fn serve(options: ServerOptions) -> Result<()> {
    // Before the ready line: a signal that follows it must find us listening.
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let server = Server::start(options).await?;
    let mut ready = json!({ "event": "ready", "listen": server.address().to_string() });
    if let Some(admin) = server.admin_address() {
        ready["admin"] = admin.to_string().into();
    }
    announce(&ready)?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping on SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping on SIGINT"),
        () = server.stopping() => tracing::info!("stopping on an administrator's request"),
    }
    server.shutdown(Duration::ZERO).await?;
    tracing::info!("stopped");
    Ok(())
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|error| Error::internal(format!("Cannot listen for signals: {error}")))
}

fn announce(line: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| {
        Error::new(Code::StorageError, format!("Cannot write the ready line: {error}"))
    })
}

fn configuration(arguments: &Arguments) -> Result<Config> {
    let mut config = match &arguments.config {
        Some(file) => Config::from_json(&read_json(file)?)?,
        None => Config::default(),
    };
    if arguments.memory {
        config.store.data = None;
    } else if let Some(directory) = &arguments.data {
        config.store.data = Some(directory.clone());
    }
    Ok(config)
}

#[expect(clippy::disallowed_methods, reason = "the command line reads its own config file")]
fn read_json(file: &Path) -> Result<Value> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| {
        Error::new(Code::StorageError, format!("Cannot read config file {name}: {error}"))
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::new(Code::ParseError, format!("Config file {name}: {error}")))
}

/// Logs to standard error; `RUST_LOG` chooses what, by default `info`.
fn start_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // They would go to standard error as well, and panic if it is closed.
        .log_internal_errors(false)
        .init();
}
