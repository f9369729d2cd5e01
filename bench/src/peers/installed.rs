//! Servers that are no part of this program: found where the system has them,
//! started with a private directory and a free port on loopback, ended with the
//! run.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::peer::Result;
use crate::process;

/// Longer than any server here takes to start.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The first of these directories and of those of `PATH` that has the program.
pub fn find(program: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = std::env::split_paths(&path).collect::<Vec<_>>();
    directories.iter().chain(&known).map(|directory| directory.join(program)).find(|p| p.is_file())
}

/// A port of loopback that nobody listens on now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A user who is not root, for servers that refuse to be.
#[derive(Clone, Copy, Debug)]
pub struct User {
    user: u32,
    group: u32,
}

impl User {
    /// As the system's list has them.
    pub fn named(name: &str) -> Option<Self> {
        let list = std::fs::read_to_string("/etc/passwd").ok()?;
        let line = list.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some(Self { user: numbers.next()?.ok()?, group: numbers.next()?.ok()? })
    }

    pub fn own(self, directory: &Path) -> Result<()> {
        Ok(std::os::unix::fs::chown(directory, Some(self.user), Some(self.group))?)
    }

    pub fn run(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }
}

/// A server, until this is dropped.
pub struct Installed {
    child: Child,
    pub port: u16,
}

impl Installed {
    /// Starts a server that will listen on this port, and waits until it does.
    pub fn start(mut command: Command, port: u16) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut installed = Self { child, port };
        let (started, address) = (Instant::now(), SocketAddr::from(([127, 0, 0, 1], port)));
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = installed.child.try_wait()? {
                return Err(format!("{command:?} ended: {status}").into());
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("{command:?} does not listen").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(installed)
    }

    fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// What it and the processes that it has started have used.
    pub fn processor_time(&self) -> Duration {
        process::family_processor_time(&self.id())
    }

    /// What they hold, shared memory counted once.
    pub fn resident_bytes(&self) -> Option<u64> {
        process::family_resident_bytes(&self.id())
    }

    /// Waits for its end.
    pub fn reap(&mut self) {
        let _reaped = self.child.wait();
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        self.reap();
    }
}
