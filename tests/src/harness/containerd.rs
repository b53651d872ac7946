//! A containerd of one's own: its directories and sockets are in a scratch directory.

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
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longest time for anything that is asked of it.
const LIMIT: Duration = Duration::from_secs(30);
/// What it does not need here, or what needs more than a scratch directory.
const DISABLED: [&str; 7] = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
];

/// A running containerd with the image. Dropped, it takes with it all that it left.
#[derive(Debug)]
pub struct Containerd {
    process: Child,
    place: TempDir,
    groups: Groups,
}

/// A container to be run.
#[derive(Debug)]
pub struct Container<'a> {
    of: &'a Containerd,
    id: String,
    options: Vec<String>,
}

impl Containerd {
    /// Starts one and gives it the image in these namespaces. Its containers' control groups are in `namespaces` and `groups`.
    pub fn start(namespaces: &[&str], groups: &[&str]) -> Self {
        Self::start_on(&std::env::temp_dir(), namespaces, groups)
    }

    /// The same, with its directories in a directory of another disk.
    pub fn start_on(directory: &Path, namespaces: &[&str], groups: &[&str]) -> Self {
        let groups = Groups::new(namespaces.iter().chain(groups));
        let place = tempfile::tempdir_in(directory).unwrap();
        let at = |name: &str| place.path().join(name);
        let disabled = DISABLED.map(|plugin| format!("{plugin:?}")).join(",");
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [{disabled}]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
            at("var/lib/containerd"),
            at("run/containerd"),
            at("socket"),
            at("socket.ttrpc")
        );
        fs::write(at("config.toml"), config).unwrap();
        let log = File::create(at("log")).unwrap();
        let mut command = Command::new("containerd");
        command.arg("--config").arg(at("config.toml")).stdin(Stdio::null());
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let containerd = Self { process, place, groups };
        containerd.wait_until("containerd serves", || {
            containerd.ctr("default").arg("version").output().is_ok_and(|output| output.status.success())
        });
        let image = image(&containerd.place.path().join("image"), IMAGE, 0);
        for namespace in namespaces {
            let mut import = containerd.ctr(namespace);
            succeeds(import.args(["images", "import"]).arg(&image));
        }
        containerd
    }

    /// The directory that stands for the host's `/`: below it, its files are where those of the host's containerd would be.
    pub fn root(&self) -> &Path {
        self.place.path()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Process ids of the shims of its containers.
    pub fn shims(&self) -> Vec<i32> {
        processes_of("containerd-shim", self.place.path())
    }

    /// iotrace that looks for its containers.
    pub fn iotrace(&self, command: &str) -> Iotrace {
        Iotrace::new(command).variable("IOTRACE_RUNTIME_ROOT", self.root())
    }

    /// The archive of another image, with a file of so many bytes.
    pub fn archive(&self, name: &str, size: usize) -> PathBuf {
        image(&self.place.path().join("archive"), name, size)
    }

    /// A container of the image, in a namespace of containerd.
    pub fn container(&self, namespace: &str, id: &str) -> Container<'_> {
        Container { of: self, id: id.into(), options: vec!["-n".into(), namespace.into(), "run".into(), "--rm".into()] }
    }

    /// A command of its client, in a namespace.
    pub fn ctr(&self, namespace: &str) -> Command {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.place.path().join("socket")).args(["-n", namespace]).stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + LIMIT * super::slowdown();
        while !is_so() {
            let log = || fs::read_to_string(self.place.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "not in time: {what}\n{}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Container<'_> {
    /// With further options of `ctr run`.
    pub fn options<I: IntoIterator<Item: Into<String>>>(mut self, options: I) -> Self {
        self.options.extend(options.into_iter().map(Into::into));
        self
    }

    /// With an annotation in its `config.json`.
    pub fn annotation(self, key: &str, value: &str) -> Self {
        self.options(["--annotation".to_owned(), format!("{key}={value}")])
    }

    /// Starts it with a script of the shell, and goes on.
    pub fn start(self, script: &str) -> Child {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.of.place.path().join("socket")).args(&self.options);
        command.args([IMAGE, &self.id, "sh", "-c", script]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end, when nothing is left of it; returns what it wrote.
    #[track_caller]
    pub fn run(self, script: &str) -> String {
        let output = self.start(script).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.groups.kill();
        let started = Instant::now();
        // A shim ends when its container has been taken away, which is after ctr has.
        while started.elapsed() < LIMIT && !processes_of("containerd-shim", self.place.path()).is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let _ = self.process.wait();
        for pid in processes_of("containerd-shim", self.place.path()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        unmount_below(self.place.path());
    }
}
