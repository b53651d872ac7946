//! Debug statements of the kernel programs, for developers: `--kernel-log`.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// Reader of the statements.
pub struct KernelLog(EbpfLogger<Stderr>);

impl KernelLog {
    /// Takes the map of statements out of the object.
    ///
    /// # Errors
    ///
    /// When the object has none.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        EbpfLogger::init_with_logger(ebpf, Stderr).map(Self).context("reading the statements of the kernel programs")
    }

    /// Prints what has come.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("kernel {}: {}", record.level().as_str().to_lowercase(), record.args());
    }

    fn flush(&self) {}
}
