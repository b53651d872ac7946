#![allow(clippy::unwrap_used)] // a test may panic
use super::*;
use crate::{
    cli::{
        form::Form,
        lines::{
            head,
            tests::{APP, LOG, LONG, NGINX, VDA1, comm, file, fsync, world, write},
        },
    },
    event::process::Process,
    output::json::{IoLine, append},
};

/// The line as its type has it, with nothing remembered.
fn whole(io: &Io, world: &mut World) -> Vec<u8> {
    let file = world.names.file(io.file).cloned();
    let process = world.names.process(io.task.pid, None);
    let host = OnHost::of(world, file.as_deref(), process.as_deref(), io.inode.map(|(_, dev)| dev), true);
    let path = file.as_ref().and_then(|file| file.file.path.as_deref());
    let (ino, dev) = io.inode.unzip();
    let line = IoLine {
        kind: io.operation.name(),
        call: io.call,
        head: head(&io.task, io.begin_ns, &mut world.clock, process.as_deref()),
        place: place(path, &host, dev, file.as_deref(), ino),
        done: IoDone {
            offset: io.offset,
            requested: io.requested,
            bytes: (io.operation != Operation::Fsync).then_some(io.result.unwrap_or(0)),
            errno: errno(io.result),
            latency_ns: Some(io.latency_ns),
        },
        how: IoHow { flags: OpenFlags(io.inode.is_some().then_some(io.file_flags)), sync: io.sync },
    };
    let mut out = Vec::new();
    append(&mut out, &line).unwrap();
    out
}

#[track_caller]
fn assert_whole(io: &Io, world: &mut World) {
    let mut out = b"before\n".to_vec();
    io_line(io, world, &mut out).unwrap();
    let expected = [b"before\n".as_slice(), &whole(io, world)].concat();
    assert_eq!(String::from_utf8(out), String::from_utf8(expected));
}

#[test]
fn a_line_is_what_its_type_says_again_and_again() {
    let mut world = world(Form::default());
    for _ in 0..3 {
        for (pid, id) in [(APP, LOG), (NGINX, LOG), (NGINX, LONG), (APP, 0), (77, 99)] {
            assert_whole(&write(pid, id), &mut world);
            assert_whole(&fsync(pid, id, 7), &mut world);
            assert_whole(&Io { result: Err(28), sync: true, ..write(pid, id) }, &mut world);
        }
    }
}

#[test]
fn more_files_than_there_is_room_for_do_not_mix() {
    let mut world = world(Form::default());
    for round in 0..2 {
        for id in 100..100 + 3 * PLACES as u64 {
            if round == 0 {
                world.names.add_file(file(id, Some(format!("/data/{id}").as_bytes())));
            }
            assert_whole(&write(APP, id), &mut world);
            assert_whole(&write(NGINX, id), &mut world);
        }
    }
}

#[test]
fn what_changes_is_rendered_again() {
    let mut world = world(Form::default());
    let mut io = write(APP, LOG);
    assert_whole(&io, &mut world);
    io.task.comm = comm(b"renamed");
    assert_whole(&io, &mut world);
    io.task.uid = 7;
    assert_whole(&io, &mut world);
    io.inode = Some((5, VDA1));
    assert_whole(&io, &mut world);
    // The process becomes one of a container.
    let cgroup =
        "/system.slice/docker-5f0e1a5e57a5e57a5e57a5e57a5e57a5e57a5e57a5e57a5e57a5e57a5e57a5e5.scope".to_owned();
    let process = Process { pid: APP, ppid: 1, uid: 33, start_ns: 1, comm: comm(b"app"), cgroup_id: 9, cgroup };
    world.names.add_process(process);
    assert_whole(&io, &mut world);
    let mut out = Vec::new();
    io_line(&io, &mut world, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("5f0e1a5e57a5"));
    // The file has another path.
    world.names.add_file(file(LOG, Some(b"/moved")));
    assert_whole(&io, &mut world);
}
