//! Containers on a disk of their own: J1, J3, J4, J6.

use super::{Diagnosis, Program};
use iotrace_tests::harness::{Containerd, LoopDisk};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Namespace of containerd.
const NAMESPACE: &str = "k8s.io";
/// Bytes a second of a slow disk.
const SLOW: u64 = 20 << 20;
/// Name of the container.
pub(crate) const NAME: &str = "web";

/// J1: an application writes its log without end, 1.6 MB a second.
pub(crate) const APP_LOG: &str = "busybox mkdir -p /var/log; l=0123456789abcdef; while [ ${#l} -lt 32768 ]; do l=$l$l; done; \
    echo ready; exec > /var/log/app.log; while :; do echo $l; usleep 20000; done";
/// J3: records of 58 bytes, without a buffer. The file has its size before, so that it does not look like a log without end.
pub(crate) const RECORDS: &str = "dd of=/data/access.log bs=1M seek=800 count=0 2>/dev/null; echo ready; \
    dd if=/dev/zero of=/data/access.log bs=58 count=13000000 conv=notrunc 2>/dev/null; sleep 60";
/// J4: reads from the disk by four processes.
pub(crate) const READS: &str = "dd if=/dev/zero of=/data/table bs=1M count=192 2>/dev/null; busybox sync; echo ready; \
    for i in 1 2 3 4; do while :; do dd if=/data/table of=/dev/null bs=4M iflag=direct 2>/dev/null; done & done; wait";
/// J4: writes to the disk likewise, to a file that has its size.
pub(crate) const WRITES: &str = "dd if=/dev/zero of=/data/table bs=1M count=192 2>/dev/null; busybox sync; echo ready; \
    for i in 1 2 3 4; do while :; do dd if=/dev/zero of=/data/table bs=4M count=48 oflag=direct conv=notrunc 2>/dev/null; \
    done & done; wait";
/// J4: a sync for each record, by the host's own dd, as that of busybox cannot.
pub(crate) const SYNCS: &str = "dd of=/data/journal bs=1M seek=64 count=0 2>/dev/null; echo ready; \
    /usr/bin/dd if=/dev/zero of=/data/journal bs=512 count=131072 oflag=dsync conv=notrunc 2>/dev/null; sleep 60";

/// J6: an application that prints a line for each thing that it does.
pub(crate) const PRINTS: &str =
    "echo ready; l=0123456789abcdef; while [ ${#l} -lt 512 ]; do l=$l$l; done; while :; do echo $l; done";

/// It writes to the disk, to a file that has its size.
pub(crate) const WRITES_LITTLE: &str = "dd if=/dev/zero of=/data/table bs=1M count=16 2>/dev/null; busybox sync; echo ready; \
    while :; do dd if=/dev/zero of=/data/table bs=64k count=256 oflag=direct conv=notrunc 2>/dev/null; done";

/// J4: changes to files of the image, [`Node::enlarge_image`], that overlayfs copies first. They begin when the disk is slow already.
pub(crate) const COPY_UPS: &str =
    "echo ready; sleep 1; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo x >> /data/model.$i; done; sleep 60";
/// Bytes of each.
const MODEL: usize = 16 << 20;

/// An application that prints without end, which its runtime writes down.
pub(crate) const PRINTS_MUCH: &str =
    "l=0123456789abcdef; while [ ${#l} -lt 4096 ]; do l=$l$l; done; while :; do echo $l; usleep 1000; done";
/// Bytes that an image takes that is pulled again and again.
const IMAGE_SIZE: usize = 48 << 20;

/// A node with one disk.
pub(crate) struct Node {
    /// What runs its containers.
    pub(crate) containerd: Containerd,
    _noise: Program,
    /// Where all of it is.
    pub(crate) disk: LoopDisk,
}

/// A container at work. Dropped, it is ended.
pub(crate) struct Playing<'a> {
    node: &'a Node,
    client: Child,
}

impl Node {
    /// Starts containerd on a disk of its own.
    pub(crate) fn start() -> Self {
        let disk = LoopDisk::uncached(1024);
        let noise = Program::noise(disk.dir());
        let containerd = Containerd::start_on(disk.dir(), &[NAMESPACE], &[]);
        Self { containerd, _noise: noise, disk }
    }

    /// Starts the container, whose output goes to a log file on the disk, and waits until something is there.
    pub(crate) fn play_to(&self, log: &Path, script: &str) -> Playing<'_> {
        let uri = format!("file://{}", log.display());
        let client = self.containerd.container(NAMESPACE, NAME).options(["--log-uri", &uri]).start(script);
        let playing = Playing { node: self, client };
        let until = Instant::now() + Duration::from_secs(30);
        while !log.metadata().is_ok_and(|log| log.len() > 0) {
            assert!(Instant::now() < until, "the container prints nothing");
            std::thread::sleep(Duration::from_millis(10));
        }
        playing
    }

    /// A client that fetches an image again and again.
    pub(crate) fn fetch_images(&self) -> Program {
        const NAME: &str = "example.com/model:1";
        let archive = self.containerd.archive(NAME, IMAGE_SIZE);
        let ctr = self.client();
        let archive = archive.display();
        let script = format!("while :; do {ctr} images import {archive}; {ctr} images rm --sync {NAME}; done");
        Program::start(Command::new("sh").args(["-c", &script]))
    }

    /// Starts the container, and waits until it says that it is ready.
    pub(crate) fn play(&self, script: &str) -> Playing<'_> {
        let container = self.containerd.container(NAMESPACE, NAME);
        let places = ["/usr", "/lib", "/lib64"].into_iter().filter(|place| std::path::Path::new(place).exists());
        let mounts: Vec<_> = places.map(|host| format!("type=bind,src={host},dst={host},options=rbind:ro")).collect();
        let mut client = container.options(mounts.iter().flat_map(|mount| ["--mount", mount])).start(script);
        let mut line = String::new();
        BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut playing = Playing { node: self, client };
        if line != "ready\n" {
            let mut why = String::new();
            let _ = std::io::Read::read_to_string(playing.client.stderr.as_mut().unwrap(), &mut why);
            panic!("the container ended: {why}");
        }
        playing
    }

    /// The shim of the only container.
    pub(crate) fn shim(&self) -> u32 {
        let shims = self.containerd.shims();
        let [shim] = shims.as_slice() else { panic!("{shims:?}") };
        *shim as u32
    }

    /// Puts large files into the image, where containerd has unpacked it.
    pub(crate) fn enlarge_image(&self) {
        let layers = self.containerd.root().join("var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots");
        let layers = std::fs::read_dir(&layers).unwrap_or_else(|error| panic!("{}: {error}", layers.display()));
        let mut layers = layers.map(|layer| layer.unwrap().path().join("fs"));
        let layer = layers.find(|layer| layer.join("etc/from-image").exists()).expect("the image is unpacked");
        for number in 1..=12 {
            std::fs::write(layer.join(format!("data/model.{number}")), vec![number; MODEL]).unwrap();
        }
        nix::unistd::sync();
    }

    /// A client of containerd that begins anew again and again: each lease is a transaction of containerd's database.
    pub(crate) fn bother(&self) -> Program {
        let lease = format!("while :; do {} leases create; done", self.client());
        Program::start(Command::new("sh").args(["-c", &format!("{lease} & {lease} & {lease} & wait")]))
    }

    /// Its client, for the shell.
    fn client(&self) -> String {
        let client = self.containerd.ctr(NAMESPACE);
        let words = std::iter::once(client.get_program()).chain(client.get_args());
        words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    /// What diagnose finds in so many seconds.
    #[track_caller]
    pub(crate) fn diagnosis(&self, seconds: u32) -> Diagnosis {
        Diagnosis::of(self.containerd.iotrace("diagnose"), &self.disk, seconds)
    }

    /// What it finds in so many seconds about the container: pipes are on no disk.
    #[track_caller]
    pub(crate) fn diagnosis_of_container(&self, seconds: u32) -> Diagnosis {
        Diagnosis::with(self.containerd.iotrace("diagnose").args(["--container", NAME]), seconds)
    }

    /// Fails unless a finding is of the container and its disk, and names this file, in the container and on the host.
    #[track_caller]
    pub(crate) fn assert_names(&self, found: &Value, comm: &str, path: &str) {
        let container = &found["container"];
        assert_eq!((&found["comm"], &found["path"]), (&comm.into(), &path.into()), "{found:#}");
        assert_eq!((&container["runtime"], &container["id"]), (&"containerd".into(), &NAME.into()), "{found:#}");
        assert_eq!(found["disk"], self.disk.name(), "{found:#}");
        let host = found["host_path"].as_str().unwrap_or_else(|| panic!("no host_path: {found:#}"));
        assert!(host.starts_with(self.disk.dir().to_str().unwrap()) && host.ends_with(path), "{found:#}");
    }
}

impl Playing<'_> {
    /// Stops the program that takes what the container prints, until the container is blocked for it: its client, as a terminal or a log
    /// driver that hangs, or its shim. Says which process of the container that is.
    pub(crate) fn stop_reader(&self, reader: u32) -> u32 {
        send(reader, libc::SIGSTOP);
        let group = format!("/sys/fs/cgroup/blkio/{NAMESPACE}/{NAME}/cgroup.procs");
        let pid = std::fs::read_to_string(&group).unwrap().lines().next().unwrap().parse().unwrap();
        // Until it is in the same call twice, with time between.
        let mut last = String::new();
        loop {
            let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
            if call.starts_with(&format!("{} 0x1 ", libc::SYS_write)) && call == last {
                return pid;
            }
            last = call;
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// The client.
    pub(crate) fn client(&self) -> u32 {
        self.client.id()
    }

    /// Lets it write only so many bytes to its disk in a second.
    pub(crate) fn limited(self, bytes: u64) -> Self {
        let dev = std::fs::read_to_string(format!("/sys/block/{}/dev", self.node.disk.name())).unwrap();
        let file = format!("/sys/fs/cgroup/blkio/{NAMESPACE}/{NAME}/blkio.throttle.write_bps_device");
        std::fs::write(&file, format!("{} {bytes}", dev.trim())).unwrap_or_else(|error| panic!("{file}: {error}"));
        self
    }

    /// Makes the disk slow for it: what the loop device reads and writes for the container is held back on the disk below.
    pub(crate) fn slow(self) -> Self {
        let below = std::fs::metadata(std::env::temp_dir()).unwrap().dev();
        let line = format!("{}:{} {SLOW}", nix::sys::stat::major(below), nix::sys::stat::minor(below));
        for limit in ["read", "write"] {
            let file = format!("/sys/fs/cgroup/blkio/{NAMESPACE}/{NAME}/blkio.throttle.{limit}_bps_device");
            std::fs::write(&file, &line).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        self
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn send(pid: u32, signal: i32) {
    // SAFETY: the call has no preconditions.
    let _ = unsafe { libc::kill(pid as i32, signal) };
}

impl Drop for Playing<'_> {
    fn drop(&mut self) {
        for shim in self.node.containerd.shims() {
            send(shim as u32, libc::SIGCONT);
        }
        let mut kill = self.node.containerd.ctr(NAMESPACE);
        let _ = kill.args(["tasks", "kill", "--all", "--signal", "SIGKILL", NAME]).stderr(Stdio::null()).status();
        // It may have been stopped, and have much to pass on: only then is it done.
        send(self.client.id(), libc::SIGCONT);
        let mut rest = self.client.stdout.take().unwrap();
        let _ = std::io::copy(&mut rest, &mut std::io::sink());
        let _ = self.client.wait();
        // The next one has the same name.
        let state = format!("/run/containerd/runc/{NAMESPACE}/{NAME}");
        let end = Instant::now() + Duration::from_secs(20);
        while Path::new(&state).exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
