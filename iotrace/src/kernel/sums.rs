//! Sums by thread and file, read in place from the kernel's memory.

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData, PerCpuArray, Queue},
};
use iotrace_common::sum::{Counters, FreeSlots, Sum, SumKey};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::{ffi::c_void, num::NonZeroUsize, os::fd::AsFd, ptr::NonNull};

/// Slots for sums: so many pairs of thread and file have a row of their own.
pub const SLOTS: u32 = 65536;
/// Slots that a CPU takes at once.
const RUN: u32 = 64;

/// Reader of the sums. The map's memory is shared with the kernel side, so reading needs no system call.
pub struct Sums {
    memory: NonNull<c_void>,
    length: NonZeroUsize,
    index: HashMap<MapData, SumKey, u32>,
    free: Queue<MapData, FreeSlots>,
    other: PerCpuArray<MapData, Sum>,
    // Keeps the map alive as long as its memory is mapped.
    _map: MapData,
}

impl Sums {
    /// Maps the sums and gives all slots to the kernel side.
    ///
    /// # Errors
    ///
    /// When the object lacks a map or the kernel does not let it be mapped.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let mut take = |name| ebpf.take_map(name).with_context(|| format!("the object has no map {name}"));
        let Map::Array(map) = take("SUMS")? else { bail!("the object's map SUMS is no array") };
        let index = HashMap::try_from(take("SUM_INDEX")?)?;
        let mut free = Queue::try_from(take("FREE_SUMS")?)?;
        let other = PerCpuArray::try_from(take("OTHER_SUMS")?)?;
        let page = 4096;
        let length =
            NonZeroUsize::new((SLOTS as usize * size_of::<Sum>()).next_multiple_of(page)).context("no slots")?;
        // SAFETY: a fresh mapping at an address of the kernel's choice, kept until drop.
        let memory = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) }
            .context("mapping the sums")?;
        for run in (0..SLOTS).step_by(RUN as usize) {
            // Slot 0 means: none.
            let slots = FreeSlots { next: run.max(1), end: run + RUN };
            free.push(slots, 0).context("handing out the slots of the sums")?;
        }
        Ok(Self { memory, length, index, free, other, _map: map })
    }

    /// Every sum in use, with its slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Sum)> + '_ {
        // Runs are handed out in order, and their first slot is used at once.
        (0..SLOTS)
            .step_by(RUN as usize)
            .take_while(|run| self.sum((*run).max(1)).key.born_ns != 0)
            .flat_map(|run| run.max(1)..run + RUN)
            .map(|slot| (slot, self.sum(slot)))
            .filter(|(_, sum)| sum.key.born_ns != 0)
    }

    fn sum(&self, slot: u32) -> Sum {
        // SAFETY: all slots lie inside the mapping. The kernel side may write at the same time: each counter is read whole, and
        // they only grow.
        unsafe { self.memory.cast::<Sum>().add(slot as usize).read_volatile() }
    }

    /// What found no slot.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the map be read.
    pub fn other(&self) -> Result<Counters> {
        let mut total = Counters::default();
        for cpu in self.other.get(&0, 0).context("reading the sum of other files")?.iter() {
            total.add(&cpu.counters);
        }
        Ok(total)
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
