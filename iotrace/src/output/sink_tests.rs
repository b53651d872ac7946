#![allow(clippy::unwrap_used)]
use super::*;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::future::Future;
use std::io::Read;
use std::time::Duration;

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
}

/// A sink into a pipe, and the pipe's other end.
fn piped() -> (Sink, File) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    (Sink::start(File::from(writer), "pipe".into()).unwrap(), File::from(reader))
}

#[test]
fn everything_arrives_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    run(async {
        let mut sink = Sink::create(&path).unwrap();
        for number in 0..1009 {
            let mut data = sink.buffer();
            assert!(data.is_empty());
            writeln!(data, "{number}").unwrap();
            sink.send(data).await.unwrap();
        }
        sink.finish().await.unwrap();
    });
    let expected: String = (0..1009).map(|number| format!("{number}\n")).collect();
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_once() {
    let error = Sink::create(Path::new("/nonexistent/out\n")).unwrap_err();
    assert_eq!(error.to_string(), r"cannot write /nonexistent/out\n: No such file or directory (os error 2)");
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let expected = SinkError::Failed { to: "/dev/full".into(), reason: "No space left on device (os error 28)".into() };
    run(async {
        let mut sink = Sink::create(Path::new("/dev/full")).unwrap();
        let error = loop {
            if let Err(error) = sink.send(b"x".to_vec()).await {
                break error;
            }
        };
        assert_eq!(error, expected);
        assert_eq!(sink.send(b"x".to_vec()).await, Err(expected.clone()));
        assert_eq!(sink.finish().await, Err(expected));
    });
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (mut sink, reader) = piped();
    drop(reader);
    run(async {
        while sink.send(b"line\n".to_vec()).await.is_ok() {}
        assert_eq!(sink.send(Vec::new()).await, Err(SinkError::Closed));
        assert_eq!(sink.finish().await, Err(SinkError::Closed));
    });
}

#[test]
fn finish_alone_finds_out_that_the_reader_is_gone() {
    let (mut sink, reader) = piped();
    drop(reader);
    run(async {
        sink.send(b"line\n".to_vec()).await.unwrap();
        assert_eq!(sink.finish().await, Err(SinkError::Closed));
    });
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_only_send() {
    let (mut sink, mut reader) = piped();
    run(async {
        let chunk = vec![b'x'; 1 << 16];
        let mut sent = 0;
        // Fills the pipe and the queue; then send waits, and the loop around it still runs.
        while tokio::time::timeout(Duration::from_millis(200), sink.send(chunk.clone())).await.is_ok() {
            sent += 1;
            assert!(sent <= QUEUE + 2);
        }
        let reading = thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            got.len()
        });
        sink.finish().await.unwrap();
        assert_eq!(reading.join().unwrap(), sent << 16);
    });
}

#[test]
fn only_what_waits_to_be_written_is_behind() {
    let (mut sink, mut reader) = piped();
    let flow = sink.flow();
    run(async {
        assert_eq!(flow.behind(), None);
        sink.send(vec![b'x'; 1 << 17]).await.unwrap();
        let mut half = vec![0; 1 << 16];
        // The rest fills the pipe, which has room for as much.
        reader.read_exact(&mut half).unwrap();
        sink.send(b"more".to_vec()).await.unwrap();
        assert_eq!(flow.behind().map(|written| written <= 1 << 17), Some(true));
        let mut rest = vec![0; (1 << 16) + 4];
        reader.read_exact(&mut rest).unwrap();
        sink.finish().await.unwrap();
    });
    assert_eq!(flow.behind(), None);
}

#[test]
fn a_pipe_set_to_nonblocking_loses_nothing() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let mut sink = Sink::start(File::from(writer), "pipe".into()).unwrap();
    let reading = thread::spawn(move || {
        let (mut got, mut reader) = (Vec::new(), File::from(reader));
        thread::sleep(Duration::from_millis(50));
        reader.read_to_end(&mut got).unwrap();
        got
    });
    let data: Vec<u8> = (0..1 << 20).map(|index| (index % 251) as u8).collect();
    run(async {
        sink.send(data.clone()).await.unwrap();
        sink.finish().await.unwrap();
    });
    assert!(reading.join().unwrap() == data);
}

#[test]
fn buffers_are_used_again() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let mut sink = Sink::create(&directory.path().join("out")).unwrap();
        sink.send(Vec::with_capacity(4096)).await.unwrap();
        while sink.buffer().capacity() < 4096 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}
