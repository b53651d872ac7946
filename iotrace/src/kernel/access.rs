//! What this user may do: capabilities, and words for a refusal.

use procfs::process::Process;
use thiserror::Error;

/// CAP_SYS_ADMIN of include/uapi/linux/capability.h.
const SYS_ADMIN: u64 = 1 << 21;
/// CAP_PERFMON, since Linux 5.8.
const PERFMON: u64 = 1 << 38;
/// CAP_BPF, since Linux 5.8.
const BPF: u64 = 1 << 39;

/// Capabilities that are missing.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("needs {}, which this user does not have: run it as root (sudo iotrace ...)", missing.join(" and "))]
pub struct Denied {
    missing: Vec<&'static str>,
}

/// The effective capabilities of this process, as a mask; `None` when /proc cannot be read.
pub fn effective() -> Option<u64> {
    Process::myself().ok()?.status().ok().map(|status| status.capeff)
}

/// Checks that programs may be loaded and attached.
///
/// # Errors
///
/// [`Denied`] names the capabilities that are missing. Where /proc cannot be read, the kernel has the last word.
pub fn check() -> Result<(), Denied> {
    effective().map_or(Ok(()), check_mask)
}

fn check_mask(effective: u64) -> Result<(), Denied> {
    if effective & SYS_ADMIN != 0 {
        return Ok(());
    }
    let missing: Vec<_> = [(BPF, "CAP_BPF"), (PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|(bit, _)| effective & bit == 0)
        .map(|(_, name)| name)
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Denied { missing }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_is_missing_and_what_to_do() {
        assert_eq!(check_mask(BPF | PERFMON), Ok(()));
        assert_eq!(check_mask(SYS_ADMIN), Ok(()));
        let text = check_mask(BPF).map_err(|denied| denied.to_string());
        assert_eq!(
            text,
            Err("needs CAP_PERFMON, which this user does not have: run it as root (sudo iotrace ...)".into())
        );
        let text = check_mask(0).map_err(|denied| denied.to_string());
        assert!(text.is_err_and(|text| text.starts_with("needs CAP_BPF and CAP_PERFMON")));
    }
}
