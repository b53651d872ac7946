//! Architectures of machines: names of the same thing with Debian, Rust and QEMU.

use std::fmt;

/// An architecture, by Debian's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arch {
    /// x86-64.
    #[default]
    Amd64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// The emulator.
    pub(crate) fn qemu(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86_64",
            Self::Arm64 => "qemu-system-aarch64",
        }
    }

    /// The emulator's arguments for the board and its processor.
    pub(crate) fn board(self) -> &'static [&'static str] {
        match self {
            Self::Amd64 => &[],
            // Pointer authentication as the architecture defines it is most of the time that an emulated kernel takes.
            Self::Arm64 => &["-M", "virt", "-cpu", "max,pauth-impdef=on"],
        }
    }

    /// The kernel's name of the first serial port.
    pub(crate) fn console(self) -> &'static str {
        match self {
            Self::Amd64 => "ttyS0",
            Self::Arm64 => "ttyAMA0",
        }
    }

    /// How many times slower than this machine a guest is, for the tests' limits on time.
    pub(crate) fn slowdown(self) -> u32 {
        match self {
            Self::Amd64 => 8,
            Self::Arm64 => 24,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}
