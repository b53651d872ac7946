//! A PostgreSQL of one's own.

use super::charges::run;
use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

/// Nobody's user id, under which the server runs: it refuses root.
const NOBODY: u32 = 65534;

/// A server, with its data in a directory of its own. Dropped, it is stopped.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    sockets: tempfile::TempDir,
}

impl Postgres {
    /// Where the server's programs are, of the newest version.
    pub fn programs() -> Option<PathBuf> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
        versions.filter(|bin| bin.join("initdb").exists()).max()
    }

    /// Makes a cluster.
    pub fn new(place: &Path) -> Self {
        let data = place.join("cluster");
        fs::create_dir(&data).unwrap();
        let sockets = tempfile::tempdir().unwrap();
        for own in [data.as_path(), sockets.path()] {
            chown(own, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let server = Self { programs: Self::programs().unwrap(), data, sockets };
        run(server.command("initdb").args(["--auth=trust", "--username=bench", "-D"]).arg(&server.data));
        server
    }

    /// Starts its server.
    pub fn start(&self) {
        let options = format!("-c listen_addresses= -c unix_socket_directories={}", self.sockets.path().display());
        let log = self.sockets.path().join("log");
        let start = ["start", "--wait", "--silent", "--options", &options, "--log"];
        run(self.command("pg_ctl").args(start).arg(log).arg("-D").arg(&self.data));
    }

    /// Its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// One of its programs, as the server's user.
    fn command(&self, program: &str) -> Command {
        let user = format!("--reuid={NOBODY}");
        let mut command = Command::new("setpriv");
        command.args([&user, "--clear-groups", "--"]).arg(self.programs.join(program));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).current_dir("/");
        command
    }

    /// pgbench on it.
    pub fn bench(&self, options: &[&str]) {
        let mut command = self.command("pgbench");
        run(command.args(["--username=bench", "--host"]).arg(self.sockets.path()).args(options).arg("postgres"));
    }

    /// Has the server write all that it holds and end.
    pub fn stop(&self) {
        run(self.command("pg_ctl").args(["stop", "--wait", "--mode=fast", "-D"]).arg(&self.data));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl").args(["stop", "--wait", "--mode=immediate", "-D"]).arg(&self.data).status();
    }
}
