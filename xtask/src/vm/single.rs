//! One machine with an image of its own, for what is not a test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use super::arch::Arch;
use super::image::Image;
use super::kernels::{self, Kernel};
use super::qemu::Machine;
use super::stage::Stage;
use super::{initrd, peers, require_packages, scratch};
use crate::{packages, workspace::Workspace};

/// What the machine is made of.
pub(crate) struct Guest {
    /// Which of Debian's kernels.
    pub(crate) series: &'static str,
    /// Text of the script that is its first process and ends it.
    pub(crate) init: String,
    /// Programs of this machine, and their names there, relative to the root.
    pub(crate) files: Vec<(PathBuf, &'static str)>,
    /// Whether it has the disk with the peers; without them it goes on.
    pub(crate) peers: bool,
    /// Whether its clock goes on by a nanosecond with each instruction.
    pub(crate) instructions: bool,
}

/// Room for what the machine writes.
const SIZE: &str = "2G";

/// More of what the peers' disk has than the tests use.
const MORE_PEERS: &[&str] = &["fsslower"];
/// Starts a program of that disk.
const PEER: &str = include_str!("guest/peer.sh");

/// Runs it to its end, or until a line is answered with an error.
pub(crate) fn run(workspace: &Workspace, guest: &Guest, mut on_line: impl FnMut(&str) -> Result<()>) -> Result<()> {
    require_packages(workspace, Arch::Amd64)?;
    let mut kernels = kernels::fetch(workspace, Arch::Amd64, &[guest.series.to_owned()], false)?;
    if guest.peers {
        let fetched = peers::add(workspace, Arch::Amd64, false, kernels.iter_mut());
        fetched.unwrap_or_else(|error| eprintln!("xtask: no peers: {error:#}"));
        let missing = packages::missing(&workspace.shell, packages::PEERS);
        if !packages::install(&workspace.shell, &missing)? {
            eprintln!("xtask: left out: {}", missing.join(" "));
        }
    }
    let kernel = kernels.first().context("no kernel")?;
    let image = image(workspace, guest)?;
    let initrd = initrd::build(workspace, kernel, &image, "")?;
    let mut command = command(kernel, &image, &initrd, guest.instructions);
    let mut machine = Machine::start(&mut command)?;
    let mut ended = None;
    for line in BufReader::new(machine.0.stdout.take().context("console")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("console")?).trim_end_matches('\r').to_owned();
        match line.strip_prefix("@@ end ") {
            Some(status) => ended = Some(status.to_owned()),
            None => on_line(&line)?,
        }
    }
    ensure!(ended.as_deref() == Some("0"), "the machine ended with status {}", ended.as_deref().unwrap_or("unknown"));
    Ok(())
}

fn image(workspace: &Workspace, guest: &Guest) -> Result<Image> {
    let (shell, dir) = (&workspace.shell, scratch(workspace)?);
    let stage = Stage::new(shell)?;
    stage.script("guest/init", &guest.init)?;
    peers::add_scripts(&stage)?;
    for name in MORE_PEERS {
        stage.script(&format!("guest/peers/bin/{name}"), PEER)?;
    }
    packages::PEERS.iter().filter_map(|name| find(name)).try_for_each(|program| stage.add_in_place(&program))?;
    for (file, name) in &guest.files {
        stage.add(file, Path::new(name))?;
    }
    let found = find("busybox").context("busybox is not installed")?;
    stage.add_in_place(&found)?;
    let busybox = dir.join("busybox-single");
    fs::copy(&found, &busybox).with_context(|| format!("copy {}", found.display()))?;
    let (root, path) = (stage.root(), dir.join("root-single.img"));
    let _ = fs::remove_file(&path);
    cmd!(shell, "mke2fs -q -F -t ext4 -d {root} -E root_owner=0:0 {path} {SIZE}").quiet().ignore_stdout().run()?;
    Ok(Image { path, busybox })
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Two processors, each emulated by a thread of its own, so that who traces has one beside who is traced. Where instructions are counted,
/// one: emulated ones take turns then, and the clock of one goes on while the other runs.
fn command(kernel: &Kernel, image: &Image, initrd: &Path, instructions: bool) -> Command {
    let mut command = Command::new(Arch::Amd64.qemu());
    if instructions {
        command.args(["-accel", "tcg,thread=single", "-icount", "shift=0", "-smp", "1"]);
    } else {
        command.args(["-accel", "tcg,thread=multi", "-smp", "2"]);
    }
    command.args(["-m", "2G"]);
    command.args(["-no-reboot", "-no-user-config", "-nodefaults", "-display", "none", "-serial", "stdio"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initrd);
    let drive = |file: &Path, how: &str| {
        let file = file.display().to_string().replace(',', ",,");
        ["-drive".to_owned(), format!("file={file},if=virtio,format=raw,{how}")]
    };
    command.args(drive(&image.path, "cache=unsafe,snapshot=on"));
    if let Some(disk) = &kernel.peers {
        command.args(drive(disk, "readonly=on"));
    }
    let words = format!("console={} panic=-1 quiet loglevel=1 mitigations=off", Arch::Amd64.console());
    command.args(["-append", &words]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}
