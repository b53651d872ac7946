//! A ring, and its requests: what each asked for is noted with what the kernel answered.

use crate::{
    log::{Kind, Op},
    workload::{
        op::RWF_SYNCING,
        rec::{Rec, Target},
        sys,
    },
};
use io_uring::{
    IoUring, opcode,
    squeue::{Entry, Flags},
    types::Fd,
};

/// Requests that fit into a ring.
const ENTRIES: u32 = 64;
/// Memory that requests read to and write from; it is registered as buffer 0.
const MEMORY: usize = 1 << 20;
/// The file's own position.
pub(super) const OWN: u64 = u64::MAX;

/// `struct iovec`, address and length: numbers may go to another thread.
type Vector = [usize; 2];

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Read,
    Readv,
    ReadFixed,
    Write,
    Writev,
    WriteFixed,
    Fsync,
    Fdatasync,
    SyncFileRange,
    Nop,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    what: What,
    target: Target,
    lengths: Vec<usize>,
    offset: u64,
    shown: Option<u64>,
    flags: Flags,
    rw_flags: i32,
    address: Option<usize>,
    slot: Option<i32>,
}

impl Request {
    /// Of `lengths` bytes (one length but for vectors) at an offset.
    pub(super) fn new(what: What, target: &Target, lengths: &[usize], offset: u64) -> Self {
        let moves = !matches!(what, What::Fsync | What::Fdatasync | What::SyncFileRange | What::Nop);
        Self {
            what,
            target: target.clone(),
            lengths: lengths.to_vec(),
            offset,
            shown: moves.then_some(offset),
            flags: Flags::empty(),
            rw_flags: 0,
            address: None,
            slot: None,
        }
    }

    /// A sync or nothing.
    pub(super) fn plain(what: What, target: &Target) -> Self {
        Self::new(what, target, &[], 0)
    }

    /// With flags.
    pub(super) fn flags(mut self, flags: Flags) -> Self {
        self.flags |= flags;
        self
    }

    /// With flags of preadv2(2) and pwritev2(2).
    pub(super) fn rw_flags(mut self, flags: i32) -> Self {
        self.rw_flags = flags;
        self
    }

    /// The offset that iotrace should show.
    pub(super) fn shown_at(mut self, offset: Option<u64>) -> Self {
        self.shown = offset;
        self
    }

    /// To or from an address of one's choice.
    pub(super) fn address(mut self, address: usize) -> Self {
        self.address = Some(address);
        self
    }

    /// By the number that the file is registered with.
    pub(super) fn registered(mut self, slot: i32) -> Self {
        self.slot = Some(slot);
        self.flags(Flags::FIXED_FILE)
    }

    fn entry(&self, memory: usize, vectors: &mut Vec<Vector>) -> Entry {
        let fd = Fd(self.slot.unwrap_or(self.target.fd));
        let address = self.address.unwrap_or(memory);
        let len = self.lengths.iter().sum::<usize>() as u32;
        vectors.extend(self.lengths.iter().map(|len| [address, *len]));
        let (array, count) = (vectors.as_ptr().cast::<libc::iovec>(), vectors.len() as u32);
        let (to, from) = (address as *mut u8, address as *const u8);
        let (at, rw) = (self.offset, self.rw_flags);
        let range = libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        let entry = match self.what {
            What::Read => opcode::Read::new(fd, to, len).offset(at).rw_flags(rw).build(),
            What::Readv => opcode::Readv::new(fd, array, count).offset(at).rw_flags(rw).build(),
            What::ReadFixed => opcode::ReadFixed::new(fd, to, len, 0).offset(at).rw_flags(rw).build(),
            What::Write => opcode::Write::new(fd, from, len).offset(at).rw_flags(rw).build(),
            What::Writev => opcode::Writev::new(fd, array, count).offset(at).rw_flags(rw).build(),
            What::WriteFixed => opcode::WriteFixed::new(fd, from, len, 0).offset(at).rw_flags(rw).build(),
            What::Fsync => opcode::Fsync::new(fd).build(),
            What::Fdatasync => opcode::Fsync::new(fd).flags(io_uring::types::FsyncFlags::DATASYNC).build(),
            What::SyncFileRange => opcode::SyncFileRange::new(fd, len).offset(at).flags(range).build(),
            What::Nop => opcode::Nop::new().build(),
        };
        entry.flags(self.flags)
    }

    /// Notes the kernel's answer.
    pub(super) fn note(&self, rec: &mut Rec, ret: i64) {
        let kind = match self.what {
            What::Read | What::Readv | What::ReadFixed => Kind::Read,
            What::Write | What::Writev | What::WriteFixed => Kind::Write,
            What::Fsync | What::Fdatasync | What::SyncFileRange => Kind::Fsync,
            What::Nop => return,
        };
        let requested = (kind != Kind::Fsync).then(|| self.lengths.iter().sum::<usize>() as u64);
        let sync_write = kind == Kind::Write && (self.target.sync || self.rw_flags & RWF_SYNCING != 0);
        let op = Op { kind, call: "io_uring".to_owned(), ret, requested, sync_write, ..rec.like_of(&self.target) };
        rec.put(Op { offset: self.shown, ..op });
    }
}

/// A ring with its memory.
pub(super) struct Ring {
    ring: IoUring,
    memory: usize,
    vectors: Vec<Vec<Vector>>,
}

impl Ring {
    /// A ring of the calling thread.
    pub(super) fn new() -> Self {
        Self::with(IoUring::new(ENTRIES).unwrap())
    }

    /// A ring whose requests a thread of the kernel takes, without a system call.
    pub(super) fn polled() -> Self {
        Self::with(IoUring::builder().setup_sqpoll(100).build(ENTRIES).unwrap())
    }

    fn with(ring: IoUring) -> Self {
        let memory = sys::memory(MEMORY);
        let buffer = libc::iovec { iov_base: memory as *mut _, iov_len: MEMORY };
        // SAFETY: the memory is never given back.
        unsafe { ring.submitter().register_buffers(&[buffer]) }.unwrap();
        Self { ring, memory, vectors: Vec::new() }
    }

    /// Registers files: the first is number 0.
    pub(super) fn register(&self, files: &[&Target]) {
        let fds: Vec<i32> = files.iter().map(|file| file.fd).collect();
        self.ring.submitter().register_files(&fds).unwrap();
    }

    /// Hands requests to the kernel; they are numbered from 0.
    pub(super) fn submit(&mut self, requests: &[Request]) {
        self.vectors.clear();
        for (number, request) in requests.iter().enumerate() {
            let mut vectors = Vec::new();
            let entry = request.entry(self.memory, &mut vectors).user_data(number as u64);
            self.vectors.push(vectors); // the array itself does not move
            // SAFETY: the memory lives as long as the process, the arrays until the next submission, which comes after
            // the answers; bad addresses are the kernel's to refuse.
            unsafe { self.ring.submission().push(&entry) }.unwrap();
        }
        self.ring.submit().unwrap();
    }

    /// Waits for the answers to `count` requests; in the order of their numbers.
    pub(super) fn reap(&mut self, count: usize) -> Vec<i64> {
        let mut answers = vec![None; count];
        let mut missing = count;
        while missing > 0 {
            self.ring.submit_and_wait(1).unwrap();
            for answer in self.ring.completion() {
                let before = answers[answer.user_data() as usize].replace(i64::from(answer.result()));
                assert_eq!(before, None, "an answer came twice");
                missing -= 1;
            }
        }
        answers.into_iter().flatten().collect()
    }

    /// Submits, waits, notes: all are under way at the same time.
    pub(super) fn run(&mut self, rec: &mut Rec, requests: &[Request]) -> Vec<i64> {
        self.submit(requests);
        let answers = self.reap(requests.len());
        requests.iter().zip(&answers).for_each(|(request, ret)| request.note(rec, *ret));
        answers
    }

    /// The same with an answer that all must get.
    #[track_caller]
    pub(super) fn all(&mut self, rec: &mut Rec, ret: i64, requests: impl IntoIterator<Item = Request>) {
        let requests: Vec<Request> = requests.into_iter().collect();
        let answers = self.run(rec, &requests);
        assert!(answers.iter().all(|answer| *answer == ret), "{requests:?}: {answers:?}");
    }
}
