//! PROGRAM: started, held until the probes are attached, then let go.

use crate::{kernel::access, resolve::find_program};
use anyhow::{Context, Result, anyhow};
use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::prctl::set_dumpable,
    unistd::{getegid, geteuid, getgid, getuid, pipe2, read},
};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::{ffi::OsStringExt, process::CommandExt},
    },
    process::{Command, ExitStatus, Stdio},
    thread,
};
use tokio::sync::oneshot;

/// A program that waits for its start, or runs.
#[derive(Debug)]
pub struct Program {
    /// Its process id.
    pub pid: u32,
    gate: Option<OwnedFd>,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
}

impl Program {
    /// Makes the process and holds it just before it runs the program. `own_stdout`: it keeps stdout, else it writes to stderr.
    ///
    /// # Errors
    ///
    /// When the program cannot be found or a process cannot be made.
    pub fn hold(words: &[OsString], own_stdout: bool) -> Result<Option<Self>> {
        let Some((name, arguments)) = words.split_first() else { return Ok(None) };
        let path = find_program(name).map_err(|error| anyhow!(error))?;
        let (gate_inside, gate) = pipe2(OFlag::O_CLOEXEC).context("making a pipe")?;
        let (hello, hello_inside) = pipe2(OFlag::O_CLOEXEC).context("making a pipe")?;
        let mut command = Command::new(path);
        command.arg0(name).args(arguments);
        if let Some(environment) = removed_environment() {
            command.env_clear().envs(environment);
        }
        if !own_stdout {
            command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned().context("giving stderr to PROGRAM")?));
        }
        let (inside, outside, hello_fd) = (gate_inside.as_raw_fd(), gate.as_raw_fd(), hello_inside.as_raw_fd());
        // SAFETY: between fork and exec only system calls are made, on descriptors that the closure's owner keeps open.
        unsafe { command.pre_exec(move || wait_inside(inside, outside, hello_fd)) };
        let (end, ended) = oneshot::channel();
        // spawn() returns when the program runs, so it must not be waited for here.
        thread::Builder::new()
            .name("iotrace-program".into())
            .spawn(move || {
                let child = command.spawn();
                drop((gate_inside, hello_inside));
                // What is left to be done needs no rights.
                let given_up = access::give_up_all().map_err(io::Error::other);
                let _ = end.send(child.and_then(|mut child| child.wait()).and_then(|status| given_up.map(|()| status)));
            })
            .context("starting PROGRAM")?;
        let mut pid = [0; 4];
        let read = read(&hello, &mut pid).context("starting PROGRAM")?;
        if read != pid.len() {
            return Err(anyhow!("{}: cannot be started", name.display()));
        }
        Ok(Some(Self { pid: u32::from_ne_bytes(pid), gate: Some(gate), ended }))
    }

    /// Lets the program run.
    pub fn release(&mut self) {
        if let Some(gate) = self.gate.take() {
            let _ = File::from(gate).write_all(&[1]);
        }
    }

    /// Waits until the program has ended.
    ///
    /// # Errors
    ///
    /// When it could not be run at all.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        (&mut self.ended).await.context("waiting for PROGRAM")?.context("cannot run PROGRAM")
    }
}

/// The environment that the user gave, where this is not what iotrace has: with capabilities of the file (setcap) the C library
/// removes LD_LIBRARY_PATH, TMPDIR and others. They concern PROGRAM, which has the user's own rights.
fn removed_environment() -> Option<Vec<(OsString, OsString)>> {
    // SAFETY: takes a number and gives one.
    let has_capabilities = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if !has_capabilities || getuid() != geteuid() || getgid() != getegid() {
        return None;
    }
    // /proc keeps it as it was, but for other users' eyes only, unless this process may be looked into.
    set_dumpable(true).ok()?;
    let environment = fs::read("/proc/self/environ");
    set_dumpable(false).ok()?;
    let environment = environment.ok()?;
    let entries = environment.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    Some(entries.filter_map(variable).collect())
}

/// `NAME=value`. A name may begin with an equals sign, as std has it.
fn variable(entry: &[u8]) -> Option<(OsString, OsString)> {
    let equals = entry.iter().skip(1).position(|byte| *byte == b'=')? + 1;
    let (name, value) = entry.split_at_checked(equals)?;
    Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.get(1..)?.to_vec())))
}

/// In the new process: says its number, and waits until the gate opens. When iotrace is gone meanwhile, the gate closes.
fn wait_inside(inside: RawFd, outside: RawFd, hello: RawFd) -> io::Result<()> {
    // SAFETY: the descriptors are open in this process, and the copy of the gate's outer end is closed here only.
    unsafe {
        libc::close(outside);
        let pid = libc::getpid().to_ne_bytes();
        if libc::write(hello, pid.as_ptr().cast(), pid.len()) != 4 {
            return Err(io::Error::last_os_error());
        }
        // Not read(): it would be a traced call whose begin was not seen.
        let gate = BorrowedFd::borrow_raw(inside);
        let mut fds = [PollFd::new(gate, PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) if fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_ends_at_its_first_equals_sign() {
        let pair = |name: &str, value: &str| Some((name.into(), value.into()));
        assert_eq!(variable(b"PATH=/bin:/a=b"), pair("PATH", "/bin:/a=b"));
        assert_eq!(variable(b"EMPTY="), pair("EMPTY", ""));
        assert_eq!(variable(b"=odd=1"), pair("=odd", "1"));
        assert_eq!(variable(b"no value"), None);
    }
}
