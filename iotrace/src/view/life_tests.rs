#![allow(clippy::unwrap_used)]
use super::{file::FILE_BYTES, *};
use crate::event::{Comm, Task, file::File, naming::Spot};
use iotrace_common::{
    file::{FileKey, STATE_DELETED},
    sum::{Counters, SumKey},
};
use proptest::prelude::*;

const NAMESPACE: u64 = 7;

/// A world of two directories, `/d` and `/e`, whose files have the inodes that tests give them.
struct World(Lives);

fn file(path: &str, ino: u64, generation: u32) -> Arc<FileInfo> {
    let parent = directory(path);
    let key = FileKey { ino, generation, parent, dev: 1, state: libc::S_IFREG, ..FileKey::default() };
    let file = File { id: ino, key, fs: "ext4".into(), path: Some(path.into()), cut: false, inside_fs: false };
    Arc::new(FileInfo { file, disk: None, on_host: None })
}

/// The address of a path's directory.
fn directory(path: &str) -> u64 {
    path.rsplit_once('/').map_or(0, |(directory, _)| 100 + directory.bytes().map(u64::from).sum::<u64>())
}

fn task() -> Task {
    Task { pid: 4711, tid: 4712, uid: 0, comm: Comm::default() }
}

fn open(at_ns: u64) -> Open<'static> {
    Open {
        call: "openat",
        begin_ns: at_ns,
        latency_ns: 1,
        task: task(),
        file: 0,
        base: 0,
        inode: None,
        result: Ok(3),
        flags: 0,
        mode: 0,
        copy_up_ns: None,
        name: None,
        file_mode: 0,
        namespace: NAMESPACE,
    }
}

fn spot(path: &str) -> Spot {
    let (_, name) = path.rsplit_once('/').unwrap();
    Spot { base: 0, directory: directory(path), name: Some(name.into()) }
}

fn naming(change: Change, from: &str, to: Option<&str>, at_ns: u64) -> Naming {
    Naming {
        change,
        call: change.name(),
        begin_ns: at_ns,
        latency_ns: 1,
        task: task(),
        name: spot(from),
        other: to.map(spot),
        namespace: NAMESPACE,
        result: Ok(0),
        flags: 0,
    }
}

impl World {
    fn new() -> Self {
        Self(Lives::new(By::ProcessFile, Selection::default()))
    }

    fn make(&mut self, path: &str, ino: u64, at_ns: u64) {
        self.0.opened(&open(at_ns), &file(path, ino, 1), None, true, None);
    }

    fn call(&mut self, change: Change, from: &str, to: Option<&str>, at_ns: u64) {
        let naming = naming(change, from, to, at_ns);
        self.0.named(&naming, (Some(from.into()), to.map(Into::into)), None, None, false);
    }

    fn unlink(&mut self, path: &str, at_ns: u64) {
        self.call(Change::Unlink, path, None, at_ns);
    }

    /// Path, how it ended, how long it lived.
    fn gone(&mut self) -> Vec<(String, How, Option<u64>)> {
        let gone = self.0.gone(true).into_iter();
        let path = |life: &Life| String::from_utf8(life.path.clone().unwrap()).unwrap();
        gone.map(|life| (path(&life), life.end.as_ref().unwrap().how, life.length_ns())).collect()
    }
}

fn sum(slot: u32, ino: u64, generation: u32, read_bytes: u64, write_bytes: u64) -> (u32, Sum) {
    let file = FileKey { ino, generation, dev: 1, state: libc::S_IFREG, ..FileKey::default() };
    let counters =
        Counters { reads: 1, writes: 1, read_bytes, write_bytes, read_ns: 1, write_ns: 2, ..Counters::default() };
    (slot, Sum { key: SumKey { born_ns: 1, tid: 1, way: 0, file }, counters, ..Sum::default() })
}

#[test]
fn a_file_lives_from_the_call_that_made_it_to_the_one_that_removed_it() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    world.unlink("/d/a", 350);
    assert_eq!(world.gone(), [("/d/a".into(), How::Unlinked, Some(250))]);
    assert_eq!(world.gone(), [], "it is told once");
}

#[test]
fn a_directory_is_the_same_by_whatever_path() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    let mut unlink = naming(Change::Unlink, "/d/a", None, 200);
    unlink.namespace = 8;
    world.0.named(&unlink, (Some(b"/bound/a".to_vec()), None), None, None, false);
    let life = world.0.gone(true).remove(0);
    assert_eq!((life.inode.map(|inode| inode.ino), life.end.unwrap().matched), (Some(1), Some(Matched::Directory)));
}

#[test]
fn a_path_counts_in_its_own_namespace_only() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    let mut unlink = naming(Change::Unlink, "/d/a", None, 200);
    unlink.name = Spot { directory: 1, name: Some(b"d/a".to_vec()), base: 0 };
    unlink.namespace = 8;
    world.0.named(&unlink, (Some(b"/d/a".to_vec()), None), None, None, false);
    assert_eq!(world.gone(), [("/d/a".into(), How::Unlinked, None)], "a file that was there before");
    unlink.namespace = NAMESPACE;
    world.0.named(&unlink, (Some(b"/d/a".to_vec()), None), None, None, false);
    assert_eq!(world.gone(), [("/d/a".into(), How::Unlinked, Some(100))]);
}

#[test]
fn what_failed_and_directories_do_not_count() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    let failed = Naming { result: Err(1), ..naming(Change::Unlink, "/d/a", None, 200) };
    world.0.named(&failed, (Some(b"/d/a".to_vec()), None), None, None, false);
    let rmdir = Naming { call: "rmdir", ..naming(Change::Unlink, "/d", None, 200) };
    world.0.named(&rmdir, (Some(b"/d".to_vec()), None), None, None, false);
    assert_eq!(world.gone(), []);
}

#[test]
fn of_files_on_other_disks_those_that_are_known_count() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    for path in ["/d/a", "/d/b"] {
        let unlink = naming(Change::Unlink, path, None, 200);
        world.0.named(&unlink, (Some(path.into()), None), None, None, true);
    }
    assert_eq!(world.gone(), [("/d/a".into(), How::Unlinked, Some(100))]);
}

#[test]
fn a_renamed_file_takes_the_place_of_another() {
    let mut world = World::new();
    world.make("/d/conf", 1, 100);
    world.make("/d/conf.tmp", 2, 200);
    world.call(Change::Rename, "/d/conf.tmp", Some("/d/conf"), 300);
    assert_eq!(world.gone(), [("/d/conf".into(), How::Replaced, Some(200))]);
    world.unlink("/d/conf", 400);
    let life = world.0.gone(true).remove(0);
    assert_eq!((life.made_as.as_deref(), life.renames, life.length_ns()), (Some(&b"/d/conf.tmp"[..]), 1, Some(200)));
}

#[test]
fn a_file_goes_with_its_last_name() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    world.call(Change::Link, "/d/a", Some("/e/b"), 150);
    world.call(Change::Rename, "/d/a", Some("/e/b"), 160);
    world.unlink("/d/a", 200);
    assert_eq!(world.gone(), []);
    world.unlink("/e/b", 300);
    assert_eq!(world.gone(), [("/d/a".into(), How::Unlinked, Some(200))]);
}

#[test]
fn files_of_a_renamed_directory_are_found() {
    let mut world = World::new();
    world.make("/d/sub/a", 1, 100);
    world.make("/d/subs", 2, 100);
    world.call(Change::Rename, "/d/sub", Some("/e/sub"), 150);
    let mut unlink = naming(Change::Unlink, "/e/sub/a", None, 200);
    unlink.name = Spot { directory: 1, name: Some(b"e/sub/a".to_vec()), base: 0 };
    world.0.named(&unlink, (Some(b"/e/sub/a".to_vec()), None), None, None, false);
    assert_eq!(world.gone(), [("/e/sub/a".into(), How::Unlinked, Some(100))]);
    world.unlink("/d/subs", 300);
    assert_eq!(world.gone().len(), 1);
}

#[test]
fn two_names_change_places() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    world.make("/d/b", 2, 200);
    let exchange = Naming { flags: 2, ..naming(Change::Rename, "/d/a", Some("/d/b"), 300) };
    world.0.named(&exchange, (Some(b"/d/a".to_vec()), Some(b"/d/b".to_vec())), None, None, false);
    world.unlink("/d/a", 400);
    assert_eq!(world.gone(), [("/d/a".into(), How::Unlinked, Some(200))]);
}

#[test]
fn a_name_that_another_file_has_now_ended_unseen() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    world.make("/d/a", 2, 200);
    world.unlink("/d/a", 300);
    assert_eq!(world.gone(), [("/d/a".into(), How::Unlinked, Some(100))]);
    let rows = world.0.rows(None);
    assert_eq!((rows[0].stats.files, rows[0].stats.deleted), (1, 0), "the first is not said to be gone");
}

#[test]
fn a_file_without_a_name_may_get_one() {
    let mut world = World::new();
    for ino in [1, 2] {
        let tmpfile = Open { flags: 0o20_200_000, result: Ok(ino), ..open(100) };
        let mut unnamed = (*file("/d/#1 (deleted)", ino, 1)).clone();
        unnamed.file.key.state |= STATE_DELETED;
        world.0.opened(&tmpfile, &Arc::new(unnamed), None, true, None);
    }
    let mut link = naming(Change::Link, "/x/2", Some("/d/named"), 200);
    link.name.name = Some(b"/proc/self/fd/2".to_vec());
    world.0.named(&link, (Some(b"/proc/self/fd/2".to_vec()), Some(b"/d/named".to_vec())), None, None, false);
    assert!(world.0.gone(false).is_empty());
    world.unlink("/d/named", 300);
    let gone: Vec<(How, Option<u64>)> = world.gone().into_iter().map(|(_, how, length)| (how, length)).collect();
    assert_eq!(gone, [(How::Nameless, None), (How::Unlinked, Some(200))]);
}

#[test]
fn bytes_are_those_of_the_inode_by_whatever_thread() {
    let mut world = World::new();
    world.make("/d/a", 1, 100);
    world.0.moved_bytes([sum(1, 1, 1, 10, 20), sum(2, 1, 1, 3, 4), sum(3, 2, 1, 99, 99)].into_iter());
    world.0.moved_bytes([sum(1, 1, 1, 11, 20), sum(2, 1, 1, 3, 4)].into_iter());
    world.unlink("/d/a", 200);
    assert_eq!(world.0.gone(true)[0].bytes, Some(Bytes { read: 14, written: 24, ns: 6, syncs: 0 }));
}

#[test]
fn bytes_of_two_files_with_one_identity_are_not_known() {
    let mut world = World::new();
    for at_ns in [100, 300] {
        world.make("/d/a", 1, at_ns);
        world.unlink("/d/a", at_ns + 100);
    }
    world.0.moved_bytes([sum(1, 1, 1, 10, 20)].into_iter());
    let row = world.0.rows(None).remove(0);
    assert_eq!((row.stats.files, row.stats.unknown_bytes, row.row.ino), (2, 2, None));
}

#[test]
fn rows_fold_many_files_into_one() {
    let mut world = World::new();
    for ino in 1..=1009 {
        let path = format!("/d/{ino}.txt");
        world.make(&path, ino, 100 * ino);
        world.unlink(&path, 100 * ino + 50);
    }
    world.make("/d/left", 2000, 7);
    world.0.moved_bytes((1..=1009).map(|ino| sum(u32::try_from(ino).unwrap(), ino, 1, 0, 10)));
    let rows = world.0.rows(None);
    let [many, one] = rows.as_slice() else { panic!("{rows:#?}") };
    assert_eq!(many.row.path.as_deref(), Some(&b"/d/<n>.txt"[..]));
    let stats = &many.stats;
    assert_eq!((stats.files, stats.created, stats.deleted, stats.bytes.written), (1009, 1009, 1009, 10_090));
    assert_eq!(stats.time_ns, 1009 * (1 + 3 + 1), "open, read and write, unlink");
    assert_eq!((stats.mean_ns(), stats.length_ns()), (Some(50), Some(100_900 + 50 - 100)));
    assert_eq!((one.row.path.as_deref(), one.stats.created, one.stats.deleted), (Some(&b"/d/left"[..]), 1, 0));
    assert_eq!(world.0.rows(None).len(), 0, "each file is told once");
    world.unlink("/d/left", 200);
    assert_eq!(world.0.rows(None)[0].stats.deleted, 1);
}

#[test]
fn memory_is_bounded_and_no_file_is_lost() {
    let mut world = World::new();
    let most = 100 * FILE_BYTES;
    world.0.limit(most);
    let files = 4_001;
    for ino in 1..=files {
        let path = format!("/d/{ino}");
        world.make(&path, ino, ino);
        if ino % 2 == 0 {
            world.unlink(&path, ino + 1);
        }
        assert!(world.0.used <= most && world.0.lives.len() < 100, "{}", world.0.used);
    }
    let rows = world.0.rows(None);
    assert_eq!((rows.len(), rows[0].stats.files, rows[0].stats.deleted), (1, files, files / 2));
    let left: usize = world.0.lives.values().map(Life::bytes_kept).sum();
    assert_eq!(world.0.used, left);
}

proptest! {
    #[test]
    fn what_comes_is_what_goes_and_what_stays(calls in proptest::collection::vec((0u8..5, 0usize..4, 0usize..4), 0..80)) {
        let names = ["/d/a", "/d/b", "/e/a", "/e/c"];
        let mut world = World::new();
        // The truth: names and inodes.
        let mut truth: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut made, mut gone) = (0, 0);
        for (at_ns, (call, one, other)) in (1u64..).zip(calls) {
            let (one, other) = (names[one], names[other]);
            match (call, truth.get(one).copied()) {
                (0 | 1, None) => {
                    made += 1;
                    truth.insert(one, made);
                    world.make(one, made, at_ns);
                }
                (2, Some(ino)) => {
                    truth.remove(one);
                    gone += u64::from(!truth.values().any(|known| *known == ino));
                    world.unlink(one, at_ns);
                }
                (3, Some(ino)) => {
                    let before = truth.get(other).copied();
                    if before != Some(ino) {
                        truth.remove(one);
                        truth.insert(other, ino);
                        gone += u64::from(before.is_some_and(|before| !truth.values().any(|known| *known == before)));
                    }
                    world.call(Change::Rename, one, Some(other), at_ns);
                }
                (4, Some(ino)) if !truth.contains_key(other) => {
                    truth.insert(other, ino);
                    world.call(Change::Link, one, Some(other), at_ns);
                }
                _ => {}
            }
        }
        let rows = world.0.rows(None);
        let sum = |count: fn(&Stats) -> u64| rows.iter().map(|row| count(&row.stats)).sum::<u64>();
        prop_assert_eq!((sum(|stats| stats.created), sum(|stats| stats.deleted)), (made, gone));
        prop_assert_eq!(sum(|stats| stats.not_made), 0);
    }
}
