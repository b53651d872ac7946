//! Filters that need names: by path, container and control group. All others the kernel side applies.

use crate::resolve::names::ProcessInfo;
use globset::GlobMatcher;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

/// What passes. An empty selection lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Glob over the path as it is shown.
    pub path: Option<GlobMatcher>,
    /// Container by name, id prefix or unit.
    pub container: Option<String>,
    /// Path of the control group, or of one above it.
    pub cgroup: Option<String>,
}

impl Selection {
    /// Whether anything is selected at all.
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.container.is_none() && self.cgroup.is_none()
    }

    /// Whether a process needs to be known.
    pub fn by_process(&self) -> bool {
        self.container.is_some() || self.cgroup.is_some()
    }

    /// Whether a path passes. What has no path passes only where none is asked for.
    pub fn path(&self, path: Option<&[u8]>) -> bool {
        match (&self.path, path) {
            (None, _) => true,
            (Some(glob), Some(path)) => glob.is_match(Path::new(OsStr::from_bytes(path))),
            (Some(_), None) => false,
        }
    }

    /// Whether a process passes.
    pub fn process(&self, process: Option<&ProcessInfo>) -> bool {
        let container = self.container.as_deref().is_none_or(|wanted| {
            process.and_then(ProcessInfo::container).is_some_and(|container| container.selected(wanted))
        });
        let cgroup = self.cgroup.as_deref().is_none_or(|wanted| {
            process.is_some_and(|process| {
                Path::new(&process.process.cgroup).starts_with(Path::new(wanted.trim_end_matches('/')))
            })
        });
        container && cgroup
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
