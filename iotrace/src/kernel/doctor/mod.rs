//! What this kernel and this user allow: facts are looked up ([`facts`], [`trial`]), then judged without asking anyone
//! ([`judge`], [`explain`]).

pub mod explain;
pub mod facts;
pub mod judge;
pub mod report;
#[cfg(test)]
pub(crate) mod sample;
pub mod trial;

pub use report::{Attempt, Check, Report, State, Way};

use super::{btf::Btf, layout::kernel_layout};
use facts::Facts;
use std::path::Path;

/// Looks at everything and tries everything. What was attached is detached again when this returns.
pub fn examine() -> Report {
    let root = Path::new("/");
    let btf = facts::btf(root);
    let types = btf.as_ref().ok().map(|(btf, _)| btf);
    let layout = types.map(kernel_layout);
    let maps = trial::maps();
    let trials = trial::mechanisms(types, layout.as_ref().and_then(|layout| layout.as_ref().ok()));
    judge::report(&Facts::gather(root, &btf, layout.as_ref(), maps, trials))
}

impl Facts {
    /// The tried and the read together.
    fn gather(
        root: &Path,
        btf: &Result<(Btf, u64), String>,
        layout: Option<&Result<iotrace_common::layout::KernelLayout, super::layout::LayoutError>>,
        maps: facts::Maps,
        trials: Vec<facts::Trial>,
    ) -> Self {
        let _ = (root, btf, layout, maps, trials);
        todo!()
    }
}
