//! Where the running kernel keeps the members that the kernel programs read.

use super::btf::{Btf, BtfError, Modules};
use iotrace_common::layout::{ABSENT, FIELDS, Field, KernelLayout};
use std::{fmt, path::Path};

/// Offsets by position in [`FIELDS`].
type Slots = [u32; FIELDS.len()];

/// This kernel's structures are not those that iotrace knows.
#[derive(Debug, thiserror::Error)]
#[error("Linux {release} lacks what iotrace reads: {}", join(.missing, "; "))]
pub struct LayoutError {
    /// The running kernel's release, such as `6.12.48`.
    pub release: String,
    /// Every required field that was not found.
    pub missing: Vec<MissingField>,
}

/// A field of [`KernelLayout`] that could not be found.
#[derive(Debug)]
pub struct MissingField {
    /// Name of the field.
    pub field: &'static str,
    /// Each alternative tried, with what was wrong with it.
    pub tried: Vec<(&'static str, BtfError)>,
}

impl fmt::Display for MissingField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried: Vec<_> = self.tried.iter().map(|(member, error)| format!("{member} ({error})")).collect();
        write!(f, "{}: tried {}", self.field, join(&tried, ", "))
    }
}

/// Looks up every field: [`ABSENT`] for an optional one that neither this kernel nor its modules have. `modules`: where the modules'
/// types are, [`super::btf::SYS_FS`].
///
/// # Errors
///
/// [`LayoutError`] names all required fields that are missing, not just the first.
pub fn kernel_layout(btf: &Btf<'_>, modules: &Path) -> Result<KernelLayout, LayoutError> {
    let mut layout = KernelLayout::UNKNOWN;
    let slots: &mut Slots = bytemuck::cast_mut(&mut layout);
    let mut missing = Vec::new();
    let mut modules = Modules::new(btf, modules);
    for (slot, field) in slots.iter_mut().zip(FIELDS) {
        match find(btf, &mut modules, field) {
            Ok(offset) => *slot = offset,
            Err(error) if field.required => missing.push(error),
            Err(_) => {}
        }
    }
    if missing.is_empty() { Ok(layout) } else { Err(LayoutError { release: release(), missing }) }
}

/// Names of the optional fields that this kernel does not have.
pub fn missing_optional(layout: &KernelLayout) -> Vec<&'static str> {
    let slots: &Slots = bytemuck::cast_ref(layout);
    let absent = slots.iter().zip(FIELDS).filter(|(slot, field)| **slot == ABSENT && !field.required);
    absent.map(|(_, field)| field.name).collect()
}

fn find(btf: &Btf<'_>, modules: &mut Modules<'_>, field: &'static Field) -> Result<u32, MissingField> {
    let mut tried = Vec::new();
    for member in field.members {
        let found = match member.split_once(':') {
            Some((module, member)) => modules.get(module).and_then(|module| number(module, member)),
            None => number(btf, member),
        };
        match found {
            Ok(offset) => return Ok(offset),
            Err(error) => tried.push((*member, error)),
        }
    }
    Err(MissingField { field: field.name, tried })
}

fn number(btf: &Btf<'_>, member: &str) -> Result<u32, BtfError> {
    if let Some(structure) = member.strip_prefix("sizeof ") {
        btf.structure_size(structure)
    } else if let Some((member, from)) = member.split_once(" - ") {
        Ok(btf.byte_offset(member)?.wrapping_sub(btf.byte_offset(from)?))
    } else if member.contains('.') {
        btf.byte_offset(member)
    } else {
        btf.structure(member)
    }
}

fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "of unknown release".into(), |release| release.trim_end().to_owned())
}

fn join<T: fmt::Display>(items: &[T], separator: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::kernel::btf::{
        SYS_FS,
        testing::{Blob, running_kernel},
    };

    #[test]
    fn all_required_fields_are_found_on_the_running_kernel() {
        let Some(btf) = running_kernel() else { return };
        let layout = kernel_layout(&btf, Path::new(SYS_FS)).unwrap();
        let slots: &Slots = bytemuck::cast_ref(&layout);
        for (slot, field) in slots.iter().zip(FIELDS) {
            assert!(*slot != ABSENT || !field.required, "{}", field.name);
        }
    }

    #[test]
    fn an_absent_optional_field_is_named_and_a_present_one_is_not() {
        let mut layout: KernelLayout = bytemuck::Zeroable::zeroed();
        assert!(missing_optional(&layout).is_empty());
        layout.rq_disk = ABSENT;
        assert_eq!(missing_optional(&layout), ["rq_disk"]);
    }

    #[test]
    fn the_error_names_field_structure_member_and_every_alternative() {
        let mut blob = Blob::default();
        let int = blob.int("int", 4);
        blob.structure("dentry", 8, &[("d_foo", int, 0)]);
        let error = kernel_layout(&blob.btf(), Path::new("/nowhere")).unwrap_err();
        assert!(!error.release.is_empty());
        let parent = error.missing.iter().find(|missing| missing.field == "dentry_name").unwrap();
        assert_eq!(
            parent.to_string(),
            "dentry_name: tried dentry.d_name.name (struct dentry has no member d_name), \
             dentry.__d_name.name (struct dentry has no member __d_name)"
        );
        let text = error.to_string();
        assert!(text.starts_with(&format!("Linux {} lacks", error.release)), "{text}");
        assert!(text.contains("file_inode: tried file.f_inode (no struct file)"), "{text}");
    }

    #[test]
    fn what_the_kernel_lacks_is_looked_for_in_its_module() {
        let mut kernel = Blob::default();
        let int = kernel.int("int", 4);
        let modules = tempfile::tempdir().unwrap();
        let module = kernel.module(|module| {
            module.structure("dm_crypt_io", 24, &[("cc", int, 0), ("base_bio", int, 64)]);
        });
        std::fs::write(modules.path().join("dm_crypt"), module).unwrap();
        let kernel = kernel.btf();
        let field = |name| FIELDS.iter().find(|field| field.name == name).unwrap();
        let mut modules = Modules::new(&kernel, modules.path());
        assert_eq!(find(&kernel, &mut modules, field("crypt_bio")).unwrap(), 8);
        let error = find(&kernel, &mut modules, field("mapped_io")).unwrap_err().to_string();
        assert!(error.ends_with("dm_mod:dm_target_io.io (no types of module dm_mod)"), "{error}");
    }

    #[test]
    fn differences_and_sizes_are_numbers_too() {
        let mut blob = Blob::default();
        let int = blob.int("int", 4);
        blob.structure("pair", 12, &[("first", int, 32), ("second", int, 64)]);
        let btf = blob.btf();
        assert_eq!(number(&btf, "pair.second - pair.first").unwrap(), 4);
        assert_eq!(number(&btf, "sizeof pair").unwrap(), 12);
        assert!(number(&btf, "sizeof trio").is_err());
    }

    #[test]
    fn an_optional_field_is_no_error() {
        let mut blob = Blob::default();
        blob.int("int", 4);
        let error = kernel_layout(&blob.btf(), Path::new("/nowhere")).unwrap_err();
        assert!(error.missing.iter().all(|missing| missing.field != "rq_disk"));
        assert_eq!(error.missing.len(), FIELDS.iter().filter(|field| field.required).count());
    }
}
