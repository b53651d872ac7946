//! Sums by thread and file, read in place from the kernel's memory.

use crate::kernel::{
    budget::{RUN, Shares},
    object::Object,
};
use anyhow::{Context, Result, bail};
use aya::maps::{HashMap, Map, MapData, PerCpuArray, Queue};
use iotrace_common::sum::{Counters, FreeSlots, Sum, SumKey, WHO_COUNT, WHO_FAULT};
use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
    unistd::{SysconfVar, sysconf},
};
use std::{cell::Cell, ffi::c_void, num::NonZeroUsize, os::fd::AsFd, ptr::NonNull};

/// Bytes that are mapped at once, whole pages of any size.
const WINDOW: usize = 1 << 20;

/// Reader of the sums. The map's memory is shared with the kernel side, so reading needs no system call.
pub struct Sums {
    memory: NonNull<c_void>,
    length: NonZeroUsize,
    /// Bytes from the start that are mapped: memory of the kernel counts as resident here as soon as it is mapped.
    mapped: Cell<usize>,
    index: HashMap<MapData, SumKey, u32>,
    free: Queue<MapData, FreeSlots>,
    other: PerCpuArray<MapData, Sum>,
    map: MapData,
    /// Bytes of paths that may be kept for all of them.
    pub path_room: usize,
    /// Slots for sums: so many pairs of thread and file have a row of their own, and one less.
    slots: u32,
}

impl Sums {
    /// Maps the sums and gives all slots to the kernel side.
    ///
    /// # Errors
    ///
    /// When the object lacks a map or the kernel does not let it be mapped.
    pub fn new(object: &mut Object, shares: &Shares) -> Result<Self> {
        let slots = shares.rows;
        let mut take = |name| object.take_map(name);
        let Map::Array(map) = take("SUMS")? else { bail!("the object's map SUMS is no array") };
        let index = HashMap::try_from(take("SUM_INDEX")?)?;
        let mut free = Queue::try_from(take("FREE_SUMS")?)?;
        let other = PerCpuArray::try_from(take("OTHER_SUMS")?)?;
        let page =
            sysconf(SysconfVar::PAGE_SIZE)?.and_then(|size| usize::try_from(size).ok()).context("no page size")?;
        // As long as the map is, no page more.
        let length =
            NonZeroUsize::new((slots as usize * size_of::<Sum>()).next_multiple_of(page)).context("no slots")?;
        // SAFETY: a fresh mapping at an address of the kernel's choice, kept until drop. It only reserves addresses.
        let memory = unsafe { mmap_anonymous(None, length, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }
            .context("reserving addresses for the sums")?;
        for run in (0..slots).step_by(RUN as usize) {
            // Slot 0 means: none.
            let run = FreeSlots { next: run.max(1), end: run + RUN };
            free.push(run, 0).context("handing out the slots of the sums")?;
        }
        Ok(Self { memory, length, mapped: Cell::new(0), index, free, other, map, path_room: shares.row_paths(), slots })
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.slots as usize
    }

    /// Every sum in use, with its slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Sum)> + '_ {
        // Runs are handed out in order, and their first slot is used at once.
        (0..self.slots)
            .step_by(RUN as usize)
            .take_while(|run| self.sum((*run).max(1)).key.born_ns != 0)
            .flat_map(|run| run.max(1)..run + RUN)
            .map(|slot| (slot, self.sum(slot)))
            .filter(|(_, sum)| sum.key.born_ns != 0)
    }

    /// The sum in a slot; an empty one when it cannot be mapped.
    fn sum(&self, slot: u32) -> Sum {
        let end = (slot as usize + 1) * size_of::<Sum>();
        while self.mapped.get() < end {
            if self.map_window().is_err() {
                return Sum::default();
            }
        }
        // SAFETY: the slot lies in the part that is mapped. The kernel side may write at the same time: each counter is read whole,
        // and they only grow.
        unsafe { self.memory.cast::<Sum>().add(slot as usize).read_volatile() }
    }

    fn map_window(&self) -> Result<()> {
        let start = self.mapped.get();
        let window = NonZeroUsize::new(WINDOW.min(self.length.get() - start)).context("no more slots")?;
        // SAFETY: inside the addresses reserved in `new`, where nothing is mapped yet.
        unsafe {
            let at = NonZeroUsize::new(self.memory.as_ptr() as usize + start).context("no address")?;
            let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
            mmap(Some(at), window, ProtFlags::PROT_READ, flags, self.map.fd().as_fd(), start as libc::off_t)
        }
        .context("mapping the sums")?;
        self.mapped.set(start + window.get());
        Ok(())
    }

    /// What found no slot: by calls, and through mappings.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the map be read.
    pub fn other(&self) -> Result<(Counters, Counters)> {
        let (mut calls, mut mapped) = (Counters::default(), Counters::default());
        for who in 0..WHO_COUNT {
            let total = if who < WHO_FAULT { &mut calls } else { &mut mapped };
            for cpu in self.other.get(&who, 0).context("reading the sum of other files")?.iter() {
                total.add(&cpu.counters);
            }
        }
        Ok((calls, mapped))
    }

    /// Takes a slot from a thread that is gone. Its sum must have been read after the thread ended.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn recycle(&mut self, slot: u32, key: &SumKey) -> Result<()> {
        self.index.remove(key).context("removing a finished sum")?;
        self.free.push(FreeSlots { next: slot, end: slot + 1 }, 0).context("handing out a slot again")
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and no reference into it is left.
        let _ = unsafe { munmap(self.memory, self.length.get()) };
    }
}
