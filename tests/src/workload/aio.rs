//! Linux AIO, by system calls alone.

use super::{
    Args,
    op::RWF_SYNCING,
    open::{CWD, Via},
    rec::{Rec, Target},
    sys,
    sys::syscall,
    threads::in_thread,
};
use crate::log::{Kind, Op};
use std::path::Path;

/// Memory that requests read to and write from.
const MEMORY: usize = 1 << 20;
/// Not mapped, but an address that a program may have.
const NOWHERE: usize = 8;

/// What a request asks for; the numbers of include/uapi/linux/aio_abi.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Pread = 0,
    Pwrite = 1,
    Fsync = 2,
    Fdsync = 3,
    Preadv = 7,
    Pwritev = 8,
}

/// `struct iocb` of a machine with the low byte first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: i32,
    opcode: u16,
    priority: i16,
    fd: i32,
    buffer: u64,
    len: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    eventfd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct IoEvent {
    data: u64,
    iocb: u64,
    result: i64,
    more: i64,
}

/// A request.
#[derive(Clone, Debug)]
struct Request {
    what: What,
    target: Target,
    lengths: Vec<usize>,
    offset: i64,
    rw_flags: i32,
    address: Option<usize>,
}

impl Request {
    fn new(what: What, target: &Target, lengths: &[usize], offset: i64) -> Self {
        Self { what, target: target.clone(), lengths: lengths.to_vec(), offset, rw_flags: 0, address: None }
    }

    fn sync(what: What, target: &Target) -> Self {
        Self::new(what, target, &[], 0)
    }

    fn note(&self, rec: &mut Rec, ret: i64) {
        let kind = match self.what {
            What::Pread | What::Preadv => Kind::Read,
            What::Pwrite | What::Pwritev => Kind::Write,
            What::Fsync | What::Fdsync => Kind::Fsync,
        };
        let moves = kind != Kind::Fsync;
        let (requested, offset) = (moves.then(|| self.lengths.iter().sum::<usize>() as u64), self.offset as u64);
        let sync_write = kind == Kind::Write && (self.target.sync || self.rw_flags & RWF_SYNCING != 0);
        let op = Op { kind, call: "io_submit".to_owned(), ret, requested, sync_write, ..rec.like_of(&self.target) };
        rec.put(Op { offset: moves.then_some(offset), ..op });
    }
}

/// A context with its memory.
struct Aio {
    context: u64,
    memory: usize,
    vectors: Vec<Vec<[usize; 2]>>,
    iocbs: Vec<Iocb>,
}

impl Aio {
    fn new() -> Self {
        let mut context = 0u64;
        sys::must(syscall!(libc::SYS_io_setup, 128, &raw mut context), "io_setup");
        Self { context, memory: sys::memory(MEMORY), vectors: Vec::new(), iocbs: Vec::new() }
    }

    /// Hands requests to the kernel, numbered from 0; returns what io_submit returned.
    fn submit(&mut self, requests: &[Request]) -> i64 {
        let vector = |request: &Request| {
            let address = request.address.unwrap_or(self.memory);
            request.lengths.iter().map(|len| [address, *len]).collect::<Vec<_>>()
        };
        self.vectors = requests.iter().map(vector).collect();
        let iocb = |(number, request): (usize, &Request)| {
            let is_vector = matches!(request.what, What::Preadv | What::Pwritev);
            let vector = &self.vectors[number];
            let (buffer, len) = match vector.first() {
                Some(_) if is_vector => (vector.as_ptr() as usize, vector.len()),
                Some([address, len]) => (*address, *len),
                None => (0, 0),
            };
            Iocb {
                data: number as u64,
                rw_flags: request.rw_flags,
                opcode: request.what as u16,
                fd: request.target.fd,
                buffer: buffer as u64,
                len: len as u64,
                offset: request.offset,
                ..Iocb::default()
            }
        };
        self.iocbs = requests.iter().enumerate().map(iocb).collect();
        let pointers: Vec<*const Iocb> = self.iocbs.iter().map(std::ptr::from_ref).collect();
        syscall!(libc::SYS_io_submit, self.context, pointers.len(), pointers.as_ptr())
    }

    /// Waits for `count` results, at most `each` by one call; in the order of their numbers.
    fn reap(&self, count: usize, each: usize) -> Vec<i64> {
        let mut results = vec![None; count];
        let mut missing = count;
        while missing > 0 {
            let mut events = [IoEvent::default(); 64];
            let most = each.min(missing);
            let got = syscall!(libc::SYS_io_getevents, self.context, 1, most, events.as_mut_ptr(), 0);
            for event in &events[..sys::must(got, "io_getevents") as usize] {
                let before = results[event.data as usize].replace(event.result);
                assert_eq!(before, None, "a result came twice");
                missing -= 1;
            }
        }
        results.into_iter().flatten().collect()
    }

    /// Submits all with one call, waits, notes.
    #[track_caller]
    fn all(&mut self, rec: &mut Rec, ret: i64, requests: impl IntoIterator<Item = Request>) {
        let requests: Vec<Request> = requests.into_iter().collect();
        assert_eq!(self.submit(&requests), requests.len() as i64);
        let results = self.reap(requests.len(), 3);
        assert!(results.iter().all(|result| *result == ret), "{requests:?}: {results:?}");
        requests.iter().zip(results).for_each(|(request, ret)| request.note(rec, ret));
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        syscall!(libc::SYS_io_destroy, self.context);
    }
}

/// The scenario.
pub fn run(rec: &mut Rec, args: &Args) {
    let (dir, mut aio) = (&args.dir, Aio::new());
    let path = dir.join("buffered");
    let file = rec.create_filled(&path, 20_011);
    each(rec, &mut aio, &file);
    let path = dir.join("direct");
    rec.create_filled(&path, 17 * 4_096).close();
    let flags = libc::O_RDWR | libc::O_DIRECT;
    if let Ok(direct) = rec.open_via(Via::Openat, CWD, &path, flags, &path) {
        whole_blocks(rec, &mut aio, &direct);
        direct.close();
    } // else not on this file system
    syncing_writes(rec, &mut aio, dir);
    failures(rec, &mut aio, dir);
    half_way(rec, &mut aio, &file);
    submitters(rec, &file);
    file.close();
}

fn each(rec: &mut Rec, aio: &mut Aio, file: &Target) {
    let at = |what, lengths: &[usize], at: i64| Request::new(what, file, lengths, at);
    aio.all(rec, 97, (0..7).map(|i| at(What::Pread, &[97], i * 101)));
    aio.all(rec, 97, [at(What::Pread, &[97], 5_003)]);
    aio.all(rec, 36, (0..5).map(|i| at(What::Preadv, &[17, 0, 19], i * 7)));
    // At the end of the file and beyond it.
    aio.all(rec, 11, (0..3).map(|_| at(What::Pread, &[4_096], 20_000)));
    aio.all(rec, 0, (0..5).map(|_| at(What::Pread, &[4_096], 20_011)));
    aio.all(rec, 1, (0..2).map(|_| at(What::Preadv, &[2, 4_096], 20_010)));
    aio.all(rec, 61, (0..7).map(|i| at(What::Pwrite, &[61], i * 67)));
    aio.all(rec, 83, (0..3).map(|i| at(What::Pwritev, &[40, 43], 20_011 + i * 83)));
    aio.all(rec, 0, (0..3).map(|_| Request::sync(What::Fsync, file)));
    aio.all(rec, 0, (0..5).map(|_| Request::sync(What::Fdsync, file)));
    // All sorts in one batch.
    let read = (0..13).map(|i| at(What::Pread, &[107], i * 211));
    let write = (0..17).map(|i| at(What::Pwrite, &[107], 30_011 + i * 107));
    aio.all(rec, 107, read.chain(write));
}

fn whole_blocks(rec: &mut Rec, aio: &mut Aio, file: &Target) {
    let at = |what, lengths: &[usize], block: i64| Request::new(what, file, lengths, block * 4_096);
    aio.all(rec, 4_096, (0..17).map(|block| at(What::Pread, &[4_096], block)));
    aio.all(rec, 4_096, (0..13).map(|block| at(What::Pwrite, &[4_096], block)));
    aio.all(rec, 8_192, (0..7).map(|block| at(What::Preadv, &[4_096, 4_096], 2 * block)));
    aio.all(rec, 8_192, (0..5).map(|block| at(What::Pwritev, &[4_096, 4_096], 2 * block)));
    aio.all(rec, 0, (0..3).map(|_| at(What::Pread, &[4_096], 17)));
    aio.all(rec, 0, (0..2).map(|_| Request::sync(What::Fdsync, file)));
}

fn syncing_writes(rec: &mut Rec, aio: &mut Aio, dir: &Path) {
    let file = rec.open(&dir.join("o_dsync"), libc::O_WRONLY | libc::O_CREAT | libc::O_DSYNC);
    aio.all(rec, 109, (0..7).map(|i| Request::new(What::Pwrite, &file, &[109], i * 109)));
    file.close();
    let file = rec.create(&dir.join("rwf_dsync"));
    let write = |i: i64| Request::new(What::Pwrite, &file, &[113], i * 113);
    aio.all(rec, 113, (0..3).map(|i| Request { rw_flags: libc::RWF_DSYNC, ..write(i) }));
    aio.all(rec, 113, (3..5).map(write));
    file.close();
}

/// Requests that io_submit takes and that fail then.
fn failures(rec: &mut Rec, aio: &mut Aio, dir: &Path) {
    let file = rec.create_filled(&dir.join("failing"), 1_013);
    let nowhere = |what, at: i64| Request { address: Some(NOWHERE), ..Request::new(what, &file, &[101], at) };
    aio.all(rec, -i64::from(libc::EFAULT), (0..7).map(|i| nowhere(What::Pread, i)));
    aio.all(rec, -i64::from(libc::EFAULT), (0..5).map(|i| nowhere(What::Pwrite, i)));
    file.close();
}

/// What io_submit does not take does not count: here the third of five, and then the first of three.
fn half_way(rec: &mut Rec, aio: &mut Aio, file: &Target) {
    let request = |fd: i32, at: i64| Request::new(What::Pread, &file.with_fd(fd), &[53], at);
    for _ in 0..3 {
        let batch: Vec<Request> =
            [file.fd, file.fd, 1_000_003, file.fd, file.fd].iter().zip(0..).map(|(fd, at)| request(*fd, at)).collect();
        assert_eq!(aio.submit(&batch), 2);
        assert_eq!(aio.reap(2, 2), [53, 53]);
        batch[..2].iter().for_each(|request| request.note(rec, 53));
        let batch = [request(1_000_003, 0), request(file.fd, 1), request(file.fd, 2)];
        assert_eq!(aio.submit(&batch), -i64::from(libc::EBADF));
    }
}

/// Requests belong to the thread that submits them, whoever takes the results.
fn submitters(rec: &mut Rec, file: &Target) {
    let mut aio = Aio::new();
    for (name, len) in [("left", 149), ("right", 151)] {
        in_thread(rec, name, |rec| {
            aio.all(rec, len as i64, (0..7).map(|i| Request::new(What::Pread, file, &[len], i)))
        });
    }
    in_thread(rec, "submitter", |rec| {
        let read = (0..11).map(|i| Request::new(What::Pread, file, &[157], i));
        let write = (0..2).map(|i| Request::new(What::Pwrite, file, &[157], 40_009 + i * 157));
        let requests: Vec<Request> = read.chain(write).collect();
        assert_eq!(aio.submit(&requests), 13);
        let results = std::thread::scope(|scope| scope.spawn(|| aio.reap(13, 5)).join().unwrap());
        assert_eq!(results, [157; 13]);
        requests.iter().zip(results).for_each(|(request, ret)| request.note(rec, ret));
    });
    let arena = rec.arena();
    sys::child(|| {
        let mut rec = Rec::another(arena);
        Aio::new().all(&mut rec, 163, (0..3).map(|i| Request::new(What::Pread, file, &[163], i)));
        rec.finish();
    });
}
