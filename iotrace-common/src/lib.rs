//! What the kernel side and the user side of iotrace agree on: records, map values, configuration, layout.
//!
//! Every type here crosses the border as plain bytes: `repr(C)`, explicit padding (checked when compiled), no `enum`, no
//! `bool`. One module per traced subject; the file of the same name in `iotrace-ebpf` fills it, the one in
//! `iotrace/src/event` decodes it.
#![cfg_attr(not(feature = "user"), no_std)]

pub mod block;
pub mod call;
pub mod config;
pub mod copyup;
pub mod errno;
pub mod file;
pub mod io;
pub mod latency;
pub mod layout;
pub mod loss;
pub mod mark;
pub mod naming;
pub mod open;
pub mod pending;
pub mod process;
pub mod record;
pub mod sum;
pub mod thread;
pub mod wait;
pub mod write_sizes;

/// Declares that a type may be copied to and from BPF maps by aya (user space only).
macro_rules! map_types {
    ($($ty:ty),* $(,)?) => { $(
        // SAFETY: bytemuck::Pod is derived for the type: any bytes are a value of it, and it has no padding.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $ty where $ty: bytemuck::Pod {}
    )* };
}
map_types!(
    block::Charges,
    block::RequestState,
    config::Config,
    config::CommFilter,
    call::CallTable,
    call::FileCalls,
    errno::ErrnoKey,
    file::FileKey,
    latency::HistogramKey,
    latency::Histogram,
    latency::Extremes,
    layout::KernelLayout,
    process::ProcessState,
    sum::Sum,
    sum::SumKey,
    sum::FreeSlots,
    thread::Thread,
    wait::Stack,
    wait::WaitKey,
    wait::WaitState,
    wait::WaitSum,
    write_sizes::WriteSizes,
);
