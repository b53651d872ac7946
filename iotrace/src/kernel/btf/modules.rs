//! Types that modules have and the kernel itself does not.

use super::{Btf, BtfError};
use std::{collections::HashMap, fs, path::Path};

/// Modules of a kernel, read when they are asked for.
#[derive(Debug)]
pub struct Modules<'a> {
    kernel: &'a Btf<'a>,
    /// Where their files are: [`super::SYS_FS`].
    dir: &'a Path,
    read: HashMap<&'static str, Option<Btf<'a>>>,
}

impl<'a> Modules<'a> {
    /// Of the kernel that has these types, and describes its modules in files of this directory.
    pub fn new(kernel: &'a Btf<'a>, dir: &'a Path) -> Self {
        Self { kernel, dir, read: HashMap::new() }
    }

    /// Types of a module.
    ///
    /// # Errors
    ///
    /// [`BtfError::NoModule`] where it is not loaded, is no module in this kernel, or has no types (before Linux 5.11, and without
    /// CONFIG_DEBUG_INFO_BTF_MODULES).
    pub fn get(&mut self, name: &'static str) -> Result<&Btf<'a>, BtfError> {
        let read = self.read.entry(name).or_insert_with(|| {
            let data = fs::read(self.dir.join(name)).ok()?;
            Btf::of_module(data, self.kernel).ok()
        });
        read.as_ref().ok_or_else(|| BtfError::NoModule(name.to_owned()))
    }
}
