//! podman as root, with all that it keeps in a scratch directory.

use super::{
    IMAGE, Iotrace,
    groups::{Groups, processes_of, unmount_below},
    image::image,
    succeeds,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longest time for what goes on behind a container that has ended.
const LIMIT: Duration = Duration::from_secs(20);
/// No daemon, no network, no locks but in the scratch directory, and no limits that only some users may set.
const SETTINGS: &str = "[containers]
default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]
log_driver = \"none\"
netns = \"none\"
[engine]
cgroup_manager = \"cgroupfs\"
events_logger = \"none\"
lock_type = \"file\"
runtime = \"runc\"
";

/// podman with the image. Dropped, it takes with it all that it left.
#[derive(Debug)]
pub struct Podman {
    groups: Groups,
    place: TempDir,
}

impl Podman {
    /// With the image and nothing else.
    pub fn new() -> Self {
        let groups = Groups::new(&["libpod_parent"]);
        let podman = Self { groups, place: tempfile::tempdir().unwrap() };
        fs::write(podman.place.path().join("containers.conf"), SETTINGS).unwrap();
        let image = image(&podman.place.path().join("image"), IMAGE, 0);
        succeeds(podman.command().args(["load", "--quiet", "--input"]).arg(image));
        podman
    }

    /// iotrace that looks for its containers.
    pub fn iotrace(&self, command: &str) -> Iotrace {
        Iotrace::new(command).variable("IOTRACE_RUNTIME_ROOT", self.place.path())
    }

    /// Makes a pod without a container of its own; returns its id.
    pub fn pod(&self, name: &str) -> String {
        let id = succeeds(self.command().args(["pod", "create", "--infra=false", "--name", name]));
        id.trim().to_owned()
    }

    /// Starts a container of the image with a script of the shell, and goes on. Nothing is left of it when it has ended.
    pub fn start(&self, name: &str, options: &[String], script: &str) -> Child {
        let mut command = self.command();
        command.args(["run", "--rm", "--name", name]).args(options).args([IMAGE, "sh", "-c", script]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn command(&self) -> Command {
        let at = |name: &str| self.place.path().join(name);
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", at("containers.conf"));
        command.arg("--root").arg(at("var/lib/containers/storage")).arg("--runroot").arg(at("run/containers/storage"));
        command.arg("--tmpdir").arg(at("tmp")).args(["--storage-driver", "overlay"]);
        command
    }
}

impl Default for Podman {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.groups.kill();
        let started = Instant::now();
        // What removes a container runs behind it.
        let left = || ["podman", "conmon"].into_iter().flat_map(|name| processes_of(name, self.place.path()));
        while started.elapsed() < LIMIT && left().next().is_some() {
            std::thread::sleep(Duration::from_millis(10));
        }
        for pid in left() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        unmount_below(self.place.path());
    }
}
