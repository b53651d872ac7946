//! What this user may do: capabilities, words for one that is missing, and giving up those that are not needed any more.

use crate::resolve::hides_processes;
use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::sys::prctl::{set_dumpable, set_no_new_privs};
use thiserror::Error;

/// What loading and attaching takes since Linux 5.8. CAP_SYS_ADMIN stands in for both.
const TRACING: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_PERFMON];

/// Capabilities that are missing.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("needs {}, which this user does not have: run it as root (sudo iotrace ...)", missing.join(" and "))]
pub struct Denied {
    missing: Vec<String>,
}

/// Capabilities that could not be given up.
#[derive(Debug, Error)]
#[error("cannot give up capabilities: {0}")]
pub struct Kept(String);

impl From<CapsError> for Kept {
    fn from(error: CapsError) -> Self {
        Self(error.to_string())
    }
}

/// Checks that programs may be loaded and attached.
///
/// # Errors
///
/// [`Denied`] names the capabilities that are missing. Where they cannot be read, the kernel has the last word.
pub fn check() -> Result<(), Denied> {
    caps::read(None, CapSet::Effective).map_or(Ok(()), |held| check_set(&held))
}

fn check_set(held: &CapsHashSet) -> Result<(), Denied> {
    if held.contains(&Capability::CAP_SYS_ADMIN) {
        return Ok(());
    }
    let missing: Vec<_> =
        TRACING.iter().filter(|capability| !held.contains(*capability)).map(ToString::to_string).collect();
    if missing.is_empty() { Ok(()) } else { Err(Denied { missing }) }
}

/// Whether /proc does not show this thread other users' processes: it is mounted with `hidepid`, and CAP_SYS_PTRACE is missing.
pub fn blind() -> bool {
    hides_processes() && !caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_PTRACE).unwrap_or(true)
}

/// Gives up what a running trace does not need, for the calling thread and those that it starts.
///
/// CAP_SYS_PTRACE stays where /proc hides processes without it, and where `looks`: what processes have open is asked for. Until Linux 5.18 CAP_BPF (or CAP_SYS_ADMIN) stays as well: with
/// `kernel.unprivileged_bpf_disabled` these kernels ask for it at every call of bpf(), later ones when something is made
/// (`__sys_bpf` of kernel/bpf/syscall.c). That is tried: `reads_maps` says whether a map can be read.
///
/// # Errors
///
/// When the system does not let them go.
pub fn restrict(looks: bool, reads_maps: impl Fn() -> bool) -> Result<(), Kept> {
    // From now on other processes of this user have the capabilities to look into this one, which has descriptors of maps.
    set_dumpable(false).map_err(|error| Kept(error.to_string()))?;
    let held = caps::read(None, CapSet::Permitted)?;
    drop_bounding();
    let always = (looks || hides_processes()).then_some(Capability::CAP_SYS_PTRACE);
    for extra in [None, Some(Capability::CAP_BPF), Some(Capability::CAP_SYS_ADMIN)] {
        let kept = always.into_iter().chain(extra).filter(|capability| held.contains(capability)).collect();
        caps::set(None, CapSet::Effective, &kept)?;
        if reads_maps() {
            return keep(&kept);
        }
    }
    // The maps cannot be read for another reason, which the first reader tells.
    caps::set(None, CapSet::Effective, &held)?;
    Ok(())
}

/// Gives up all capabilities but those with which all processes can be looked at in `/proc`, for the calling thread.
///
/// # Errors
///
/// When the system does not let them go.
pub fn keep_looking() -> Result<(), Kept> {
    let held = caps::read(None, CapSet::Permitted)?;
    let wanted = [Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH];
    drop_bounding();
    let kept = wanted.into_iter().filter(|capability| held.contains(capability)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    keep(&kept)
}

/// Gives up all capabilities, for the calling thread and those that it starts.
///
/// # Errors
///
/// When the system does not let them go.
pub fn give_up_all() -> Result<(), Kept> {
    drop_bounding();
    keep(&CapsHashSet::new())
}

/// Without CAP_SETPCAP this set stays as it is: it gives nothing, it only limits what a new program gets, and there is none.
fn drop_bounding() {
    let _ = caps::clear(None, CapSet::Bounding);
}

fn keep(kept: &CapsHashSet) -> Result<(), Kept> {
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, kept)?;
    caps::set(None, CapSet::Permitted, kept)?;
    set_no_new_privs().map_err(|error| Kept(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(held: &[Capability]) -> Option<String> {
        check_set(&held.iter().copied().collect()).err().map(|denied| denied.to_string())
    }

    #[test]
    fn a_refusal_names_what_is_missing_and_what_to_do() {
        assert_eq!(refusal(&[Capability::CAP_BPF, Capability::CAP_PERFMON]), None);
        assert_eq!(refusal(&[Capability::CAP_SYS_ADMIN]), None);
        assert_eq!(
            refusal(&[Capability::CAP_BPF]).unwrap(),
            "needs CAP_PERFMON, which this user does not have: run it as root (sudo iotrace ...)"
        );
        assert!(refusal(&[]).unwrap().starts_with("needs CAP_BPF and CAP_PERFMON"));
    }

    #[test]
    fn a_thread_that_gave_all_up_has_none() {
        std::thread::spawn(|| {
            give_up_all().unwrap();
            for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient] {
                assert!(caps::read(None, set).unwrap().is_empty(), "{set:?}");
            }
        })
        .join()
        .unwrap();
    }
}
