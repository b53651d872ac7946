//! Debug statements of the kernel programs, for developers: `--kernel-log`.

use crate::kernel::program::Loaded;
use anyhow::{Context, Result};
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// Reader of the statements.
pub struct KernelLog(EbpfLogger<Stderr>);

impl KernelLog {
    /// Finds the ring buffer of statements, which all programs share, by one of them.
    ///
    /// # Errors
    ///
    /// When the kernel does not let it be found: that takes CAP_SYS_ADMIN.
    pub fn new(program: &Loaded) -> Result<Self> {
        let id = program.id().context("the kernel does not tell a program's number")?;
        EbpfLogger::init_from_id_with_logger(id, Stderr)
            .map(Self)
            .context("reading the statements of the kernel programs")
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
