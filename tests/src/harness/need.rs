//! What a test needs from the machine. A test that cannot run says so in the file that IOTRACE_SKIPS names.

use std::{fs, io::Write, path::Path};

/// Ends the calling test, noting why it could not run.
#[macro_export]
macro_rules! skip {
    ($reason:expr) => {{
        fn here() {}
        $crate::harness::note_skip(std::any::type_name_of_val(&here), &$reason);
        return;
    }};
}

/// Ends the calling test as skipped unless all the needs are met: `need!(bpf, loop_devices)`.
#[macro_export]
macro_rules! need {
    ($($what:ident),+) => { $(
        if let Err(reason) = $crate::harness::$what() {
            $crate::skip!(reason);
        }
    )+ };
}

/// Writes a skipped test down.
pub fn note_skip(function: &str, reason: &str) {
    let name = function.trim_end_matches("::here");
    eprintln!("skipped: {name}: {reason}");
    if let Some(file) = std::env::var_os("IOTRACE_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{name}: {reason}").unwrap();
    }
}

/// Root.
///
/// # Errors
/// The reason why not.
pub fn root() -> Result<(), String> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err("needs root".into()) }
}

/// Root, with the right to load kernel programs, on a kernel that describes itself.
///
/// # Errors
/// The reason why not.
pub fn bpf() -> Result<(), String> {
    const NEEDED: [(u64, &str); 2] = [(38, "CAP_PERFMON"), (39, "CAP_BPF")];
    root()?;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    let caps = u64::from_str_radix(caps, 16).unwrap();
    if let Some((_, name)) = NEEDED.iter().find(|(bit, _)| caps & (1 << bit) == 0) {
        return Err(format!("needs {name}"));
    }
    let btf = Path::new("/sys/kernel/btf/vmlinux");
    if btf.exists() { Ok(()) } else { Err(format!("needs {}", btf.display())) }
}

/// What [`bpf`] is, and a mechanism that an ordinary user with capabilities may use.
///
/// # Errors
/// The reason why not.
pub fn user_mechanism() -> Result<(), String> {
    bpf()?;
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap();
    // Probes at many functions at once are no perf events (since 5.18, on arm64 later, with CONFIG_FPROBE).
    let forced = std::env::var("IOTRACE_TEST_MECHANISM").is_ok_and(|forced| forced == "kprobe");
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap();
    let one_by_one = !symbols.lines().any(|line| line.ends_with(" register_fprobe"));
    if forced && one_by_one && paranoid.trim().parse::<i32>().unwrap() > 2 {
        return Err(format!("probes are kept to CAP_SYS_ADMIN: kernel.perf_event_paranoid is {}", paranoid.trim()));
    }
    Ok(())
}

/// A kernel that keeps its memory from root.
///
/// # Errors
/// The reason why not.
pub fn confidentiality() -> Result<(), String> {
    bpf()?;
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    if lockdown.contains("[confidentiality]") { Ok(()) } else { Err("needs lockdown=confidentiality".into()) }
}

/// Root, with loop devices and mkfs.ext4.
///
/// # Errors
/// The reason why not.
pub fn loop_devices() -> Result<(), String> {
    root()?;
    let control = fs::OpenOptions::new().read(true).write(true).open("/dev/loop-control");
    control.map_err(|error| format!("needs loop devices: {error}"))?;
    let mkfs = std::process::Command::new("mkfs.ext4").arg("-V").output();
    mkfs.map(drop).map_err(|error| format!("needs mkfs.ext4: {error}"))
}

/// tmux, for a terminal of a known size.
///
/// # Errors
/// The reason why not.
pub fn tmux() -> Result<(), String> {
    program("tmux", "-V")
}

/// The programs that add partitions to a device and take them away.
///
/// # Errors
/// The reason why not.
pub fn partitions() -> Result<(), String> {
    program("addpart", "-V")?;
    program("delpart", "-V")
}

/// iostat.
///
/// # Errors
/// The reason why not.
pub fn iostat() -> Result<(), String> {
    program("iostat", "-V")
}

/// io_uring, allowed to this process.
///
/// # Errors
/// The reason why not.
pub fn io_uring() -> Result<(), String> {
    let ring = io_uring::IoUring::new(2);
    ring.map(drop).map_err(|error| format!("needs io_uring: {error}"))
}

/// Linux AIO (`CONFIG_AIO`).
///
/// # Errors
/// The reason why not.
pub fn aio() -> Result<(), String> {
    let mut context = 0usize;
    // SAFETY: the kernel writes the context there.
    if unsafe { libc::syscall(libc::SYS_io_setup, 1, &raw mut context) } != 0 {
        return Err(format!("needs Linux AIO: {}", std::io::Error::last_os_error()));
    }
    // SAFETY: the context was made above, and nothing is under way in it.
    unsafe { libc::syscall(libc::SYS_io_destroy, context) };
    Ok(())
}

/// device-mapper, and dmsetup.
///
/// # Errors
/// The reason why not.
pub fn device_mapper() -> Result<(), String> {
    program("dmsetup", "version")?;
    module("dm_mod")
}

/// Encryption by device-mapper.
///
/// # Errors
/// The reason why not.
pub fn dm_crypt() -> Result<(), String> {
    module("dm_crypt")
}

/// Types of device-mapper and other modules.
///
/// # Errors
/// The reason why not.
pub fn module_types() -> Result<(), String> {
    if kernel_before((5, 11)) { Err("modules describe their types since Linux 5.11".into()) } else { Ok(()) }
}

/// Mirrors by md.
///
/// # Errors
/// The reason why not.
pub fn md() -> Result<(), String> {
    module("raid1")
}

/// A part of the kernel; loads it where it can be loaded. What is built in and has parameters has a directory too.
fn module(name: &str) -> Result<(), String> {
    let there = || Path::new("/sys/module").join(name).exists();
    if !there() {
        let _ = std::process::Command::new("modprobe").args(["--quiet", name]).output();
    }
    if there() { Ok(()) } else { Err(format!("needs the module {name}")) }
}

/// fio, which makes I/O of any kind.
///
/// # Errors
/// The reason why not.
pub fn fio() -> Result<(), String> {
    program("fio", "--version")
}

/// Python, in which programs are written that do I/O as services do.
///
/// # Errors
/// The reason why not.
pub fn python() -> Result<(), String> {
    program("python3", "--version")
}

/// A compiler of C.
///
/// # Errors
/// The reason why not.
pub fn compiler() -> Result<(), String> {
    program("cc", "--version")
}

/// The shell of SQLite.
///
/// # Errors
/// The reason why not.
pub fn sqlite() -> Result<(), String> {
    program("sqlite3", "--version")
}

/// The server of PostgreSQL with pgbench.
///
/// # Errors
/// The reason why not.
pub fn postgresql() -> Result<(), String> {
    let directory = super::Postgres::programs().ok_or("needs PostgreSQL")?;
    program(&directory.join("pgbench").to_string_lossy(), "--version")
}

fn program(name: &str, option: &str) -> Result<(), String> {
    let run = std::process::Command::new(name).arg(option).output();
    run.map(drop).map_err(|error| format!("needs {name}: {error}"))
}

/// Other tracers, in the directory that IOTRACE_PEERS names.
///
/// # Errors
/// The reason why not.
pub fn peers() -> Result<(), String> {
    bpf()?;
    std::env::var_os("IOTRACE_PEERS").map(drop).ok_or_else(|| "needs peers: IOTRACE_PEERS names no directory".into())
}

/// overlayfs, with the right to mount it.
///
/// # Errors
/// The reason why not.
pub fn overlayfs() -> Result<(), String> {
    file_system("overlay")
}

/// overlayfs, whose copy-ups are seen by every way into the kernel. By tracepoints they are where one tells that an inode's times are
/// set.
///
/// # Errors
/// The reason why not.
pub fn copy_ups() -> Result<(), String> {
    overlayfs()?;
    let forced = std::env::var("IOTRACE_TEST_MECHANISM").is_ok_and(|forced| forced == "tracepoint");
    if forced && kernel_before((6, 13)) {
        return Err("by tracepoints no copy-up is seen before Linux 6.13".into());
    }
    Ok(())
}

/// containerd and runc, with the right to run containers on overlayfs.
///
/// # Errors
/// The reason why not.
pub fn containers() -> Result<(), String> {
    engine(&["containerd", "ctr", "runc", "busybox"])
}

/// podman and runc, likewise.
///
/// # Errors
/// The reason why not.
pub fn podman() -> Result<(), String> {
    engine(&["podman", "conmon", "runc", "busybox"])
}

fn engine(programs: &[&str]) -> Result<(), String> {
    overlayfs()?;
    for program in programs {
        let found = std::process::Command::new(program).arg("--help").output();
        found.map_err(|error| format!("needs {program}: {error}"))?;
    }
    let groups = fs::read_to_string("/proc/self/mounts").unwrap().lines().any(|line| line.contains(" cgroup"));
    if groups { Ok(()) } else { Err("needs control groups".into()) }
}

/// xfs on loop devices.
///
/// # Errors
/// The reason why not.
pub fn xfs() -> Result<(), String> {
    on_loop_device("xfs")
}

/// btrfs on loop devices.
///
/// # Errors
/// The reason why not.
pub fn btrfs() -> Result<(), String> {
    on_loop_device("btrfs")
}

fn on_loop_device(kind: &str) -> Result<(), String> {
    loop_devices()?;
    let mkfs = std::process::Command::new(format!("mkfs.{kind}")).arg("-V").output();
    mkfs.map(drop).map_err(|error| format!("needs mkfs.{kind}: {error}"))?;
    file_system(kind)
}

/// Asks the kernel to mount a file system in a way that cannot succeed: it loads the module, and says ENODEV if it has none.
fn file_system(kind: &str) -> Result<(), String> {
    root()?;
    let place = tempfile::tempdir().unwrap();
    let flags = nix::mount::MsFlags::empty();
    match nix::mount::mount(Some("/dev/null"), place.path(), Some(kind), flags, None::<&str>) {
        Ok(()) => panic!("a mount of nothing succeeded"),
        Err(error @ (nix::errno::Errno::ENODEV | nix::errno::Errno::EPERM)) => Err(format!("needs {kind}: {error}")),
        Err(_) => Ok(()),
    }
}

/// Whether the kernel is older than this version.
pub fn kernel_before(version: (u32, u32)) -> bool {
    let release = nix::sys::utsname::uname().unwrap().release().to_str().unwrap().to_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) < version
}
