//! The `iotrace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // glibc raises this by itself, and then keeps the tables of a look at many files for good.
    #[cfg(target_env = "gnu")]
    // SAFETY: no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
    iotrace::cli::main(std::env::args_os())
}
