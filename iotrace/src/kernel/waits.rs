//! What threads wait for, as added up in the kernel.

use crate::{
    event::{Comm, file::File},
    kernel::{
        kallsyms::Coming, object::Object, plan::KernelFilters, reasons::Reason, symbols::Symbols, tracer::monotonic_ns,
    },
    resolve::{
        blocked::{Still, blocked},
        thread_exists,
    },
    view,
};
use anyhow::{Context, Result};
use aya::maps::{HashMap as BpfMap, MapData};
use iotrace_common::{
    file::{FileKey, kind_bit},
    wait::{DEEP, EARLIER, FROM_FILE, NO_CALL, Stack, WaitKey, WaitState, WaitSum},
};
use std::collections::HashMap;

/// So many sums may stay, those of threads that are gone included: half of the kernel side's room.
const MANY: usize = 16384;

/// What a stack says: the function that says it, and what.
pub type Verdict = Option<(&'static str, Reason)>;

/// One thread's waits in one place.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// Whose, and where.
    pub key: WaitKey,
    /// Those that are over.
    pub sum: WaitSum,
    /// When the one began that is not, nanoseconds of CLOCK_MONOTONIC.
    pub since_ns: Option<u64>,
    /// What the stack says.
    pub verdict: Verdict,
}

impl Wait {
    /// Name of the thread.
    #[must_use]
    pub fn comm(&self) -> Comm {
        Comm(self.sum.comm)
    }
}

/// Reader of the waits.
pub struct Waits {
    waiting: BpfMap<MapData, u32, WaitState>,
    sums: BpfMap<MapData, WaitKey, WaitSum>,
    stacks: BpfMap<MapData, u64, Stack>,
    /// The kernel's functions.
    pub symbols: Coming<Symbols>,
    verdicts: HashMap<u64, Verdict>,
    /// Waits that had begun before tracing did, by [`WaitKey::stack`] less one.
    earlier: Vec<Verdict>,
    /// Their files.
    files: Vec<File>,
    /// That the kernel hides its functions was told.
    told: bool,
    /// When tracing began.
    pub began_ns: u64,
}

impl Waits {
    /// Takes the maps out of the object.
    ///
    /// # Errors
    ///
    /// When the object lacks one.
    pub fn new(object: &mut Object) -> Result<Self> {
        let mut take = |name| object.take_map(name);
        Ok(Self {
            waiting: BpfMap::try_from(take("WAITING")?)?,
            sums: BpfMap::try_from(take("WAITS")?)?,
            stacks: BpfMap::try_from(take("STACKS")?)?,
            symbols: Coming::default(),
            verdicts: HashMap::new(),
            earlier: Vec::new(),
            files: Vec::new(),
            told: false,
            began_ns: 0,
        })
    }

    /// Whether the kernel did not tell where its functions are, when it is asked first: then only its mark for I/O and the file say
    /// what is waited for.
    pub fn hides_stacks(&mut self) -> bool {
        self.symbols.get().is_empty() && !std::mem::replace(&mut self.told, true)
    }

    /// Numbers of the files that threads wait on now.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the map be read.
    pub fn waiting(&self) -> Result<Vec<u64>> {
        let mut files = Vec::new();
        for entry in self.waiting.iter() {
            let (_, state) = entry.context("reading the threads that wait")?;
            if state.begin_ns != 0 && state.key.file != 0 {
                files.push(state.key.file);
            }
        }
        Ok(files)
    }

    /// Where sums get many: takes away those of threads that are gone.
    pub fn tidy(&mut self, seen: &mut view::wait::Waits) {
        if seen.used() > MANY {
            for key in seen.forget(thread_exists) {
                // What never ended has none.
                let _ = self.sums.remove(&key);
            }
        }
    }

    /// Tells the kernel side of the threads that are asleep already. To be called when it sees threads fall asleep and wake.
    pub fn add_earlier(&mut self, filters: &KernelFilters, kinds: u32) {
        /// BPF_NOEXIST of include/uapi/linux/bpf.h: what the kernel side saw is newer.
        const NEW: u64 = 1;
        for thread in blocked(filters) {
            let file = thread.file.as_ref();
            let deep = thread.state == 'D';
            if file.is_some_and(|file| kinds & kind_bit(file.mode) == 0) || (file.is_none() && !deep) {
                continue;
            }
            let devices = filters.disks.as_ref();
            if devices.is_some_and(|wanted| file.is_none_or(|file| !wanted.contains(&file.dev))) {
                continue;
            }
            let number = self.earlier.len() as u64 + 1;
            let key = WaitKey {
                process_start_ns: thread.process_start_ns,
                file: if file.is_some() { number } else { 0 },
                stack: number,
                tid: thread.tid,
                pid: thread.pid,
                number: thread.number.unwrap_or(NO_CALL),
                flags: EARLIER | if deep { DEEP } else { 0 } | if thread.from_file { FROM_FILE } else { 0 },
            };
            let begin_ns = monotonic_ns();
            let state = WaitState { begin_ns, key, comm: thread.comm.0, uid: thread.uid, holder: 0 };
            if self.waiting.insert(thread.tid, state, NEW).is_err() {
                continue;
            }
            self.earlier.push(thread.verdict);
            self.files.extend(thread.file.as_ref().map(|file| File {
                id: number,
                key: FileKey { ino: file.ino, dev: file.dev, state: file.mode, ..FileKey::default() },
                fs: file.fs.clone(),
                path: Some(file.path.clone()),
                cut: false,
                inside_fs: false,
            }));
            // It may have woken before the kernel side knew of it.
            if thread.still() == Still::No {
                self.take_back(&state);
            }
        }
    }

    /// Takes a wait out again, unless the kernel side has seen another one of that thread.
    fn take_back(&mut self, state: &WaitState) {
        let now = self.waiting.get(&state.key.tid, 0);
        if now.is_ok_and(|now| now == *state) {
            let _ = self.waiting.remove(&state.key.tid);
        }
    }

    /// Files of waits that had begun before tracing did, once.
    pub fn take_files(&mut self) -> Vec<File> {
        std::mem::take(&mut self.files)
    }

    /// All waits, cumulative since tracing began. What ends while this reads may be missing; it comes with the next reading.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the maps be read.
    pub fn read(&mut self) -> Result<Vec<Wait>> {
        let mut all: HashMap<WaitKey, (WaitSum, Option<u64>)> = HashMap::new();
        for entry in self.sums.iter() {
            let (key, sum) = entry.context("reading the waits")?;
            all.insert(key, (sum, None));
        }
        for entry in self.waiting.iter() {
            let (_, state) = entry.context("reading the threads that wait")?;
            if state.begin_ns != 0 {
                let new = WaitSum { comm: state.comm, uid: state.uid, ..WaitSum::default() };
                let (sum, since_ns) = all.entry(state.key).or_insert((new, None));
                if state.holder != 0 {
                    sum.holder = state.holder;
                }
                *since_ns = Some(state.begin_ns.max(self.began_ns));
            }
        }
        let with_verdict = |(key, (sum, since_ns))| {
            let verdict = self.verdict(&key);
            Wait { key, sum, since_ns, verdict }
        };
        Ok(all.into_iter().map(with_verdict).collect())
    }

    fn verdict(&mut self, key: &WaitKey) -> Verdict {
        if key.flags & EARLIER != 0 {
            let index = usize::try_from(key.stack).ok()?.checked_sub(1)?;
            return *self.earlier.get(index)?;
        }
        if let Some(known) = self.verdicts.get(&key.stack) {
            return *known;
        }
        let stack = self.stacks.get(&key.stack, 0).ok()?;
        let verdict = self.symbols.get().verdict(&stack.0);
        self.verdicts.insert(key.stack, verdict);
        verdict
    }
}
