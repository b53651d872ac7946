//! Virtual machines: starting them, side by side, and ending them in time.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Instant;
use std::{fs, io, thread};

use anyhow::{Context, Result};
use nix::sys::{prctl, signal::Signal};

use super::console::{Console, Event};
use super::image::Image;
use super::kernels::Kernel;
use super::report::Run;
use super::{Job, initrd};
use crate::workspace::Workspace;

/// Runs all machines, as many at a time as asked for, and gives their results in the kernels' order.
pub(crate) fn run_all(workspace: &Workspace, image: &Image, kernels: &[Kernel], job: &Job) -> Result<Vec<Run>> {
    let dir = super::scratch(workspace)?;
    let (mut prepared, words) = (VecDeque::new(), words(job));
    for (number, kernel) in kernels.iter().enumerate() {
        prepared.push_back((number, kernel, initrd::build(workspace, kernel, image, &words)?));
    }
    let (queue, done) = (Mutex::new(prepared), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..job.machines.max(1) {
            scope.spawn(|| {
                while let Some((number, kernel, initrd)) = next() {
                    let log = dir.join(format!("{}.log", kernel.name));
                    let run = run(job, kernel, image, &initrd, &log);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, run));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, run)| run).collect()
}

/// Runs one machine to its end, or to the limit.
fn run(job: &Job, kernel: &Kernel, image: &Image, initrd: &Path, log: &Path) -> Result<Run> {
    let began = Instant::now();
    let mut file = fs::File::create(log).with_context(|| format!("create {}", log.display()))?;
    let mut command = command(job, kernel, image, initrd);
    let mut machine = Machine::start(&mut command)?;
    let output = machine.0.stdout.take().context("console")?;
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    let (mut console, mut last) = (Console::default(), began);
    let out_of_time = loop {
        match lines.recv_timeout(job.limit.saturating_sub(began.elapsed())) {
            Ok(line) => {
                let line = line.trim_end_matches('\r');
                writeln!(file, "{line}").context("log of the console")?;
                if let Some(Event { test, result }) = console.add_line(line) {
                    let title = format!("{} {}", kernel.name, console.mechanism());
                    println!("{title}: {test} {result} ({:.1} s)", last.elapsed().as_secs_f64());
                    last = Instant::now();
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break false,
            Err(mpsc::RecvTimeoutError::Timeout) => break true,
        }
    };
    drop(machine);
    Ok(Run {
        kernel: kernel.name.clone(),
        lacks: kernel.lacks,
        loses: kernel.loses,
        results: console.finish(&job.mechanisms, out_of_time),
        log: log.to_path_buf(),
        took: began.elapsed(),
    })
}

/// Emulated and not virtualized: a hypervisor is often not to be had where tests run, or broken, and so all run the same.
fn command(job: &Job, kernel: &Kernel, image: &Image, initrd: &Path) -> Command {
    let mut command = Command::new(job.arch.qemu());
    command.args(job.arch.board());
    // One thread for both processors: before QEMU 8.1 (its commit deba78709a) a processor may run a breakpoint that another
    // has just taken away again, and a kernel that patches itself, as tracing makes it do, dies of "Oops: int3".
    command.args(["-accel", "tcg,thread=single", "-smp", "2", "-m", "2G"]);
    command.args(["-no-reboot", "-no-user-config", "-nodefaults"]);
    command.args(["-display", "none", "-serial", "stdio"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initrd);
    let drive = format!(
        "file={},if=virtio,format=raw,cache=unsafe,snapshot=on",
        image.path.display().to_string().replace(',', ",,")
    );
    command.args(["-drive", &drive]);
    if let Some(disk) = &kernel.peers {
        let disk = disk.display().to_string().replace(',', ",,");
        command.args(["-drive", &format!("file={disk},if=virtio,format=raw,readonly=on")]);
    }
    let mut words = format!("console={} panic=-1 quiet loglevel=1 mitigations=off", job.arch.console());
    words.extend(job.append.iter().flat_map(|word| [" ", word]));
    command.args(["-append", &words]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What the guest is told. Not on the kernel's command line: of more than 2048 bytes x86 takes no more
/// (COMMAND_LINE_SIZE of arch/x86/include/asm/setup.h), and leaves the rest out silently.
fn words(job: &Job) -> String {
    let lists = [
        ("MODE", job.mode.to_owned()),
        ("MECHANISMS", job.mechanisms.join(",")),
        ("FILTERS", job.filters.join(",")),
        ("EXCEPT", job.except.join(",")),
        ("ONCE", job.once.join(",")),
        ("EACH", job.each.join(",")),
        ("FIRST", job.first.join(",")),
        ("SLOWDOWN", job.arch.slowdown().to_string()),
    ];
    lists.into_iter().map(|(name, value)| format!("{name}='{value}'\n")).collect()
}

/// A running machine. Dropped, it ends.
pub(super) struct Machine(pub(super) Child);

impl Machine {
    /// Starts one. It ends with the thread that started it, however that ends.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        // SAFETY: one system call, between fork and exec.
        unsafe { command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) };
        let child = command.spawn().with_context(|| format!("start of {:?}", command.get_program()))?;
        Ok(Self(child))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
