//! Which way copy-ups of overlayfs are seen.

use crate::kernel::{
    attach::{self, Attached, Kernel},
    mechanism::{Mechanism, Subject},
    object::{Object, Wanted},
    wanted,
    ways::unfit_for_functions,
};
use anyhow::{Result, bail};
use iotrace_common::layout::{ABSENT, KernelLayout};

/// Why a mechanism is not even tried.
pub fn unfit(mechanism: Mechanism, layout: &KernelLayout) -> Option<String> {
    match mechanism {
        Mechanism::Fentry => unfit_for_functions(),
        Mechanism::Kprobe => None,
        // Without the function that tells of a copy-up, the inodes themselves must.
        Mechanism::Tracepoint => (layout.ovl_entry == ABSENT || layout.ovl_lowers == ABSENT).then(|| {
            "the types of overlayfs are not known: it is a module that is not loaded, or Linux is older than 6.5"
                .to_owned()
        }),
    }
}

/// What [`attach()`] loads if calls on files are traced with `first`, so that it can be loaded ahead.
pub fn programs(first: Option<Mechanism>, layout: &KernelLayout, kernel: &Kernel<'_>) -> Vec<Wanted> {
    let fits = first.filter(|mechanism| unfit(*mechanism, layout).is_none());
    fits.map_or_else(Vec::new, |mechanism| wanted::programs(Subject::CopyUps, mechanism, kernel))
}

/// Attaches what traces copy-ups, with the first mechanism that works, or the one that is asked for.
///
/// # Errors
///
/// Why each does not.
pub fn attach(
    object: &Object,
    asked: Option<Mechanism>,
    layout: &KernelLayout,
    kernel: &Kernel<'_>,
) -> Result<Attached> {
    let mut refusals = Vec::new();
    for mechanism in Mechanism::ALL.into_iter().filter(|one| asked.is_none_or(|asked| asked == *one)) {
        if let Some(reason) = unfit(mechanism, layout) {
            refusals.push(format!("{mechanism}: {reason}"));
            continue;
        }
        match attach::subject(object, Subject::CopyUps, mechanism, kernel) {
            Ok(attached) => return Ok(attached),
            Err(refused) => refusals.push(format!("{mechanism}: {refused}")),
        }
    }
    bail!("{}", refusals.join("; "))
}
