#![allow(clippy::unwrap_used)]
use super::*;
use crate::resolve::mount_table::Mount;

/// A file of this process, and its mount.
fn question(path: &Path) -> Question {
    let found = fs::symlink_metadata(path).unwrap();
    let path = path.as_os_str().as_bytes().to_vec();
    let table = MountTable::parse(&fs::read("/proc/self/mountinfo").unwrap());
    let dev = table.covering(&path).unwrap().dev;
    let own = from_proc(std::process::id()).unwrap();
    let who = Who::Process(own.pid, own.start_ns);
    let (pid, start_ns) = (own.pid, own.start_ns);
    Question { who, contained: false, pid, start_ns, path, dev, ino: found.ino(), kind: libc::S_IFREG }
}

/// A table that was read just now.
fn known(mounts: MountTable) -> Known {
    Known { asked: Instant::now(), mounts }
}

/// A question by a process that is gone.
fn gone(question: &Question) -> Question {
    Question { who: Who::Process(u32::MAX, 1), pid: u32::MAX, start_ns: 1, ..question.clone() }
}

#[test]
fn a_file_of_the_hosts_own_mounts_is_where_it_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file").canonicalize().unwrap_or_else(|_| directory.path().join("file"));
    fs::write(&file, "x").unwrap();
    let question = question(&file);
    let mut finder = Finder::default();
    let mount = finder.own().covering(&question.path).map(|mount| mount.id);
    let mut place = |question: &Question| {
        let found = finder.find(question)?;
        Some((found.path, found.size.unwrap().0, found.mount))
    };
    let expected = (question.path.clone(), 1, mount);
    assert_eq!(place(&question), Some(expected.clone()));
    assert_eq!(place(&gone(&question)), Some(expected.clone()), "it is the same file");
    // What replaced the file says nothing about a process that is gone.
    let another = Question { ino: question.ino + 1, ..question };
    assert_eq!(place(&gone(&another)), None);
    let contained = Question { contained: true, ..another.clone() };
    assert_eq!(place(&contained), None, "a container's first process, before it has mounts of its own");
    assert_eq!(place(&another), Some(expected), "this process sees no other mounts");
}

#[test]
fn a_file_of_another_file_system_is_not_what_has_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let question = question(&file);
    let mut finder = Finder::default();
    assert_eq!(finder.find(&gone(&Question { dev: 0xf_fffe, ..question })), None);
}

#[test]
fn a_process_number_used_again_does_not_lend_its_mounts() {
    let own = question(Path::new("/proc/self/exe").canonicalize().unwrap().as_path());
    let mut finder = Finder::default();
    let before = Who::Process(own.pid, own.start_ns - 10 * TICK_NS);
    finder.read(&before, own.pid, own.start_ns - 10 * TICK_NS);
    assert!(finder.tables.is_empty());
    finder.read(&own.who, own.pid, own.start_ns);
    assert_eq!(finder.tables.len(), 1);
}

#[test]
fn a_containers_table_from_before_its_root_was_changed_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let question = question(&file);
    let mut finder = Finder::default();
    let root = finder.own().root().unwrap().clone();
    let contained = Question { contained: true, ino: question.ino + 1, ..question };
    for (root, again) in
        [(Mount { id: u64::MAX, ..root.clone() }, true), (Mount { root: b"/of/it".to_vec(), ..root }, false)]
    {
        let before = MountTable::of(vec![root.clone()]);
        finder.tables.insert(contained.who.clone(), known(before));
        finder.find(&contained);
        assert_eq!(finder.tables[&contained.who].mounts.root() != Some(&root), again, "{root:?}");
    }
}

#[test]
fn where_a_process_is_gone_another_of_its_container_lends_its_mounts() {
    let own = from_proc(std::process::id()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let place = root.path().as_os_str().as_bytes();
    let group = root.path().join(own.cgroup.trim_start_matches('/'));
    fs::create_dir_all(&group).unwrap();
    for (pid, read) in [(u32::MAX, false), (own.pid, true)] {
        fs::write(group.join("cgroup.procs"), format!("{pid}\n")).unwrap();
        let mut finder = Finder::default();
        let mount = Mount { root: b"/".to_vec(), place: place.to_vec(), fs: b"cgroup2".to_vec(), ..Mount::default() };
        finder.own = Some((Instant::now(), MountTable::of(vec![mount])));
        let who = Who::Group(own.cgroup.clone());
        finder.read(&who, u32::MAX, 1);
        assert_eq!(finder.tables.contains_key(&who), read);
        finder.read(&Who::Group("/another".into()), u32::MAX, 1);
        assert_eq!(finder.tables.len(), usize::from(read));
    }
}

#[test]
fn a_file_of_the_host_is_seen_where_a_container_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().canonicalize().unwrap().join(name);
    for name in ["upper", "lower", "volume"] {
        fs::create_dir(at(name)).unwrap();
    }
    std::os::unix::fs::symlink("lower", at("link")).unwrap();
    let mut finder = Finder::default();
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let volume = bytes(&at("volume"));
    let mount = finder.own().covering(&volume).unwrap().clone();
    let options = format!("rw,lowerdir={},upperdir={}", at("link").display(), at("upper").display());
    let overlay = Mount {
        id: 1,
        dev: 99,
        root: b"/".to_vec(),
        place: b"/".to_vec(),
        fs: b"overlay".to_vec(),
        options: options.into(),
    };
    let bind = Mount { id: 2, root: mount.inside(&volume).unwrap(), place: b"/data".to_vec(), ..mount.clone() };
    let who = Who::Group("/a/container".into());
    finder.tables.insert(who.clone(), known(MountTable::of(vec![overlay, bind])));
    for (file, seen) in [
        ("upper/etc/x", Some("/etc/x")),
        ("lower/etc/y (deleted)", Some("/etc/y (deleted)")),
        ("volume/d/z", Some("/data/d/z")),
        ("lower/data/hidden", None),
        ("elsewhere", None),
    ] {
        let found = finder.find_inside(&who, u32::MAX, 1, mount.dev, &bytes(&at(file)));
        assert_eq!(found.as_deref(), seen.map(str::as_bytes), "{file}");
    }
    let host = finder.own().clone();
    finder.tables.insert(who.clone(), known(host));
    assert_eq!(finder.find_inside(&who, u32::MAX, 1, mount.dev, &volume), None, "it has the host's mounts still");
}

#[test]
fn a_number_of_a_mount_that_was_used_before_makes_no_mount_the_hosts() {
    let mut finder = Finder::default();
    let root = finder.own().root().unwrap().clone();
    let who = Who::Process(1, 1);
    for (root, ours) in [(root.clone(), true), (Mount { dev: root.dev + 1, ..root }, false)] {
        finder.tables.insert(who.clone(), known(MountTable::of(vec![root])));
        assert_eq!(finder.has_our_mounts(&who), ours);
    }
}

#[test]
fn free_space_is_as_df_shows_it() {
    let mut finder = Finder::default();
    let root = finder.own().root().unwrap().dev;
    let df = |what: &str| {
        let output = std::process::Command::new("df").args([&format!("--output={what}"), "/"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().trim_end_matches('%').parse::<f64>().unwrap()
    };
    let free = finder.free(root, None).unwrap();
    // df rounds what is used up.
    assert!((100.0 - free.bytes.unwrap() - df("pcent")).abs() <= 1.1, "{free:?}");
    assert!((100.0 - free.inodes.unwrap() - df("ipcent")).abs() <= 1.1, "{free:?}");
    assert_eq!(free.mount, b"/");
    assert_eq!(finder.free(0xf_fffe, Some(b"/nowhere/at all")), None);
    assert_eq!(finder.free(0xf_fffe, Some(b"/proc/self/stat")).map(|free| free.mount).as_deref(), Some(&b"/proc"[..]));
    assert_eq!(
        (per_cent(1, 3), per_cent(0, 7), per_cent(7, 7), per_cent(0, 0)),
        (Some(33.3), Some(0.0), Some(100.0), None)
    );
}
