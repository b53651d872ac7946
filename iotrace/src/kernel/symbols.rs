//! Where the kernel's functions are that say what a thread waits for.

use crate::kernel::reasons::{self, Clue, Reason};
use std::collections::{HashMap, HashSet};

/// Addresses of these functions in the running kernel. Empty where the kernel does not tell addresses (`kptr_restrict`).
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Begin, end behind it, and what it says; by begin.
    ranges: Vec<(u64, u64, (&'static str, Clue))>,
}

impl Symbols {
    /// Lines of `/proc/kallsyms`: `address type name`, and a tab and a module behind it.
    #[must_use]
    pub fn parse(symbols: &[u8]) -> Self {
        let known: HashMap<&[u8], _> =
            reasons::names().filter_map(|name| Some((name.as_bytes(), reasons::clue(name)?))).collect();
        let mut begins = Vec::new();
        let mut found = Vec::new();
        for line in symbols.split(|byte| *byte == b'\n') {
            let mut words = line.split(|byte| byte.is_ascii_whitespace());
            let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else { continue };
            if !matches!(kind, b"t" | b"T" | b"w" | b"W") {
                continue;
            }
            let address = std::str::from_utf8(address).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
            let Some(address) = address.filter(|address| *address != 0) else { continue };
            begins.push(address);
            let whole = name.split(|byte| *byte == b'.').next().unwrap_or(name);
            if let Some(clue) = known.get(whole) {
                found.push((address, *clue));
            }
        }
        begins.sort_unstable();
        let end = |begin: u64| begins.get(begins.partition_point(|other| *other <= begin)).copied().unwrap_or(begin);
        let mut ranges: Vec<_> = found.into_iter().map(|(begin, clue)| (begin, end(begin), clue)).collect();
        ranges.sort_unstable_by_key(|(begin, ..)| *begin);
        Self { ranges }
    }

    /// Whether the kernel told any address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// What a stack says: addresses to return to, the innermost first, and the function that says it.
    #[must_use]
    pub fn verdict(&self, frames: &[u64]) -> Option<(&'static str, Reason)> {
        // An address to return to may be behind the end of a function that never returns.
        reasons::verdict(frames.iter().take_while(|frame| **frame != 0).filter_map(|frame| self.at(frame - 1)))
    }

    fn at(&self, address: u64) -> Option<(&'static str, Clue)> {
        let after = self.ranges.partition_point(|(begin, ..)| *begin <= address);
        let (_, end, clue) = self.ranges.get(after.checked_sub(1)?)?;
        (address < *end).then_some(*clue)
    }

    /// Names that this kernel has.
    #[must_use]
    pub fn names(&self) -> HashSet<&'static str> {
        self.ranges.iter().map(|(_, _, (name, _))| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &[u8] = b"ffffffff81000100 t anon_pipe_write\n\
        ffffffff81000200 T something_else\n\
        ffffffff81000180 d data_is_not_code\n\
        ffffffff81000050 t anon_pipe_write.cold\n\
        ffffffff81000300 T io_schedule\n\
        ffffffff81000340 T behind\n\
        0000000000000000 T blkdev_issue_flush\n\
        not a line\n";

    #[test]
    fn a_stack_is_judged_by_the_functions_that_hold_its_addresses() {
        let symbols = Symbols::parse(SYMBOLS);
        let at = |frames: &[u64]| symbols.verdict(frames).map(|(name, _)| name);
        let base = 0xffff_ffff_8100_0000;
        assert_eq!(at(&[base + 0x101, base + 0x210]), Some("anon_pipe_write"));
        assert_eq!(at(&[base + 0x51]), Some("anon_pipe_write"));
        assert_eq!(at(&[base + 0x320, base + 0x150]), Some("anon_pipe_write"));
        assert_eq!(at(&[base + 0x340]), Some("io_schedule"), "returns to the end of a function");
        assert_eq!(at(&[base + 0x201, base + 0x350, 0, base + 0x101]), None);
        assert_eq!(at(&[base + 0x1f]), None);
    }

    #[test]
    fn hidden_addresses_are_not_known() {
        let hidden = b"0000000000000000 t anon_pipe_write\n0000000000000000 T io_schedule\n";
        assert!(Symbols::parse(hidden).is_empty());
        assert!(!Symbols::parse(SYMBOLS).is_empty());
    }
}
