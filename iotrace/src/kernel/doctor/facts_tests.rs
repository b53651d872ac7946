#![allow(clippy::unwrap_used)]
use super::*;

/// A directory with these files below it.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[test]
fn without_btf_one_sentence_says_why() {
    let machine = root(&[("sys/kernel/uevent_seqnum", "1")]);
    let (types, known) = Types::read(machine.path());
    let reason = "no BTF at /sys/kernel/btf/vmlinux: kernel built without CONFIG_DEBUG_INFO_BTF";
    assert_eq!(types, Types { btf: Err(reason.into()), layout: None, find_vma: false });
    assert!(known.is_none());
}

#[test]
fn without_sysfs_the_kernel_is_not_blamed() {
    let (types, _) = Types::read(root(&[]).path());
    assert_eq!(types.btf, Err("no /sys/kernel: sysfs is not mounted".into()));
}

#[test]
fn btf_that_is_none_is_told() {
    let machine = root(&[("sys/kernel/btf/vmlinux", "not this")]);
    let (types, known) = Types::read(machine.path());
    assert!(types.btf.unwrap_err().starts_with("malformed BTF: "));
    assert!(known.is_none());
}

#[test]
fn btf_of_another_kernel_names_what_is_missing() {
    let machine = root(&[("sys/kernel/btf/vmlinux", "")]);
    let mut blob = crate::kernel::btf::testing::Blob::default();
    let int = blob.int("int", 4);
    blob.structure("dentry", 8, &[("d_foo", int, 0)]);
    fs::write(machine.path().join("sys/kernel/btf/vmlinux"), blob.bytes()).unwrap();
    let (types, known) = Types::read(machine.path());
    assert_eq!(types.btf, Ok(blob.bytes().len()));
    let reason = types.layout.unwrap().unwrap_err();
    assert!(reason.contains("struct dentry has no member d_parent"), "{reason}");
    assert!(known.is_none());
}

#[test]
fn settings_are_read_and_what_cannot_be_is_told_apart() {
    let machine = root(&[
        ("proc/sys/kernel/unprivileged_bpf_disabled", "2\n"),
        ("proc/sys/kernel/perf_event_paranoid", "-1\n"),
        ("proc/sys/net/core/bpf_jit_enable", "what\n"),
    ]);
    let settings = Settings::read(machine.path());
    assert_eq!(settings.unprivileged_bpf, Ok(2));
    assert_eq!(settings.perf_event_paranoid, Ok(-1));
    assert_eq!(settings.kptr_restrict, Err(Unread::NotThere));
    assert_eq!(settings.jit, Err(Unread::Unreadable("not a number: what".into())));
}

#[test]
fn lockdown_is_the_mode_in_brackets() {
    let lockdown = |files: &[(&str, &str)]| Lockdown::read(root(files).path());
    let mode = |text| lockdown(&[("sys/kernel/security/lockdown", text)]);
    assert_eq!(mode("none [integrity] confidentiality\n"), Lockdown::Mode("integrity".into()));
    assert_eq!(mode("[none] integrity confidentiality\n"), Lockdown::Mode("none".into()));
    assert_eq!(mode("\n"), Lockdown::Unreadable(String::new()));
    assert_eq!(lockdown(&[("sys/kernel/security/lsm", "capability")]), Lockdown::NotBuilt);
    assert_eq!(lockdown(&[]), Lockdown::NotMounted);
}

#[test]
fn rights_are_those_of_this_process() {
    let own = Rights::read(Path::new("/"));
    assert!(own.capabilities.is_some());
    assert_eq!(own.root, nix::unistd::geteuid().is_root());
}

#[test]
fn rights_in_a_user_namespace_are_marked() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let rights = |map| Rights::read(root(&[("proc/self/status", &status), ("proc/self/uid_map", map)]).path());
    assert!(rights("         0       1000          1\n").user_namespace);
    assert!(!rights("         0          0 4294967295\n").user_namespace);
}

#[test]
fn rights_that_cannot_be_read_are_not_made_up() {
    assert_eq!(Rights::read(root(&[]).path()), Rights::default());
}
