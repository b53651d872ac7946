//! A containerd of one's own: its directories and sockets are in a scratch directory.

use super::Iotrace;
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longest time for anything that is asked of it.
const LIMIT: Duration = Duration::from_secs(30);
/// The image: busybox, a few directories, and a file that containers can change.
pub const IMAGE: &str = "example.com/busybox:1.36";
/// What the file `/etc/from-image` has in it.
const FROM_IMAGE: &str = "from the image\n";
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
    /// Directories of control groups that were not there before.
    groups: Vec<PathBuf>,
    _alone: MutexGuard<'static, ()>,
}

/// Two would use the same control groups.
static ALONE: Mutex<()> = Mutex::new(());

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
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let place = tempfile::tempdir().unwrap();
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
        let groups = namespaces.iter().chain(groups).flat_map(|name| places(name)).filter(|group| !group.exists());
        let containerd = Self { process, place, groups: groups.collect(), _alone: alone };
        containerd.wait_until("containerd serves", || {
            containerd.ctr("default").arg("version").output().is_ok_and(|output| output.status.success())
        });
        let image = image(&containerd.place.path().join("image"));
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

    /// iotrace that looks for its containers.
    pub fn iotrace(&self, command: &str) -> Iotrace {
        Iotrace::new(command).variable("IOTRACE_RUNTIME_ROOT", self.root())
    }

    /// A container of the image, in a namespace of containerd.
    pub fn container(&self, namespace: &str, id: &str) -> Container<'_> {
        Container { of: self, id: id.into(), options: vec!["-n".into(), namespace.into(), "run".into(), "--rm".into()] }
    }

    fn ctr(&self, namespace: &str) -> Command {
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
        for group in self.groups.iter().flat_map(|group| tree(group)) {
            // What a test that failed left running.
            let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            for pid in list.lines().filter_map(|line| line.parse().ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let started = Instant::now();
        // A shim ends when its container has been taken away, which is after ctr has.
        while started.elapsed() < LIMIT && !shims(self.place.path()).is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let _ = self.process.wait();
        for pid in shims(self.place.path()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let root = self.place.path().to_str().unwrap_or("/nowhere");
        for place in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if place.starts_with(root) {
                let _ = umount2(place, MntFlags::MNT_DETACH);
            }
        }
        for group in self.groups.iter().flat_map(|group| tree(group)) {
            let _ = fs::remove_dir(group);
        }
    }
}

/// A directory and all below it, the deepest first.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let inside = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut found: Vec<PathBuf> = inside.flat_map(|entry| tree(&entry.path())).collect();
    found.push(directory.into());
    found
}

/// Where a namespace's control groups are, in each hierarchy.
fn places(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let hierarchies = mounts.lines().filter(|line| line.starts_with("cgroup"));
    hierarchies.filter_map(|line| line.split(' ').nth(1)).map(|place| Path::new(place).join(name)).collect()
}

/// Process ids of the shims that a containerd in this directory started.
fn shims(place: &Path) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&words);
        text.contains("containerd-shim") && text.contains(&*place.to_string_lossy())
    })
    .collect()
}

/// An image of busybox, as `docker save` would write it.
fn image(place: &Path) -> PathBuf {
    let (root, tar) = (place.join("root"), place.join("image.tar"));
    for directory in ["bin", "data", "etc", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.unwrap(), root.join("bin/busybox")).unwrap();
    for name in ["cat", "dd", "echo", "sh", "sleep", "usleep"] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/from-image"), FROM_IMAGE).unwrap();
    succeeds(Command::new("tar").args(["-cf", "layer.tar", "-C", "root", "."]).current_dir(place));
    let sum = succeeds(Command::new("sha256sum").arg("layer.tar").current_dir(place));
    let layer = format!("sha256:{}", sum.split(' ').next().unwrap());
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    });
    fs::write(place.join("config.json"), config.to_string()).unwrap();
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    fs::write(place.join("manifest.json"), manifest.to_string()).unwrap();
    let files = ["manifest.json", "config.json", "layer.tar"].map(OsStr::new);
    succeeds(Command::new("tar").arg("-cf").arg(&tar).args(files).current_dir(place));
    tar
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
